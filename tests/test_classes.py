from pathlib import Path

import pytest

from pipeline.classes import WORDS, declared_word, resembling
from pipeline.errors import InputError
from pipeline.sources.files import find_sources


def test_there_are_345_words_in_utf_8_order() -> None:
    assert len(WORDS) == len(set(WORDS)) == 345
    assert list(WORDS) == sorted(WORDS, key=str.encode)


def test_the_words_are_those_of_google_s_files(quickdraw: Path) -> None:
    assert sorted(path.stem for path in (quickdraw / "simplified").glob("*.ndjson")) == list(WORDS)


@pytest.mark.parametrize("word", ["cat", "hot dog", "The Eiffel Tower", "t-shirt", "teddy-bear"])
@pytest.mark.parametrize("prefix", ["", "full_simplified_", "full_raw_"])
@pytest.mark.parametrize("suffix", [".ndjson", ".ndjson.gz", ".jsonl"])
def test_a_file_s_name_declares_its_word_however_it_is_spelled(word: str, prefix: str, suffix: str) -> None:
    for spelled in (word, word.replace(" ", "%20"), word.replace(" ", "_"), word.upper(), word.lower()):
        assert declared_word(f"{prefix}{spelled}{suffix}") == word


@pytest.mark.parametrize(
    "name", ["drawings.ndjson", "cats.ndjson", "cat dog.ndjson", "cat-1.ndjson", ".ndjson", "%ff.ndjson"]
)
def test_any_other_name_declares_nothing(name: str) -> None:
    assert declared_word(name) is None


def test_every_word_is_declared_by_its_own_name_and_by_no_other() -> None:
    assert [declared_word(f"{word}.ndjson") for word in WORDS] == list(WORDS)


def test_classes_of_one_s_own_are_declared_too() -> None:
    assert declared_word("my_robot.ndjson") is None
    assert declared_word("my_robot.ndjson", (*WORDS, "my robot")) == "my robot"


@pytest.mark.parametrize(
    ("text", "word"), [("hotdog", "hot dog"), ("CAT", "cat"), ("elefant", "elephant"), ("eiffel", "The Eiffel Tower")]
)
def test_the_word_that_was_meant_comes_first(text: str, word: str) -> None:
    assert resembling(text)[0] == word


def test_nothing_resembles_nonsense() -> None:
    assert resembling("qqqqqq") == []


def test_sources_come_in_the_order_of_their_names_each_once(tmp_path: Path) -> None:
    for name in (
        "b/cat.ndjson",
        "a/dog.jsonl",
        "a/deep/hot_dog.ndjson.gz",
        "a/.git/cat.ndjson",
        "a/notes.txt",
        "a/[x].ndjson",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    inputs = [str(tmp_path / "b"), str(tmp_path / "a"), f"{tmp_path}/*/dog.jsonl", f"{tmp_path}/a/../a/[x].ndjson"]
    names = ["a/[x].ndjson", "a/deep/hot_dog.ndjson.gz", "a/dog.jsonl", "b/cat.ndjson"]
    for order in (inputs, inputs[::-1]):
        found = find_sources(order)
        assert [source.name for source in found] == names
        assert [source.declared for source in found] == [None, "hot dog", "dog", "cat"]


def test_a_source_s_name_does_not_hang_on_the_order_of_inputs(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "cat.ndjson").touch()
    inputs = [str(tmp_path / "in"), str(tmp_path / "in" / "deep" / "cat.ndjson")]
    assert find_sources(inputs) == find_sources(inputs[::-1])


def test_a_link_keeps_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"")
    (tmp_path / "cat.ndjson").symlink_to(tmp_path / "store")
    (source,) = find_sources([str(tmp_path / "cat.ndjson")])
    assert (source.path.name, source.declared) == ("cat.ndjson", "cat")


def test_inputs_that_are_not_there_or_hold_nothing_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        find_sources([str(tmp_path / "nowhere")])
    with pytest.raises(InputError, match=r"holds no file of drawings \(\.ndjson, .*, \.bin, .* \.npz\); give another"):
        find_sources([str(tmp_path)])
