import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.classes import WORDS
from pipeline.errors import InputError
from pipeline.pictures.names import MAX_NAME_BYTES, safe_name, word_of_safe_name

pytestmark = pytest.mark.long

HOSTILE = [
    "", ".", "..", "../x", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "C:\\x", "\0", "a\0b", "x" * 300,
    "é" * 300, "CON", "con", "con.txt", "NUL ", "COM1", "lpt9.png", "aux .x", "console", "-rf", "--to", "~", "~root",
    " cat", "cat ", "cat.", ".hidden", "%", "%41", "%~", "a%~b", "100%", "😀", "👩\u200d👧", "café", "cafe\u0301", "猫",
    "\ud800", "a\nb", "\u202ecat", "$(rm)", "`x`", "*", "?", "a:b", "a|b", 'a"b', "<x>", "COM¹",
]  # fmt: skip


@pytest.mark.parametrize("word", HOSTILE)
def test_a_hostile_word_becomes_one_harmless_folder_and_comes_back(tmp_path: Path, word: str) -> None:
    name = safe_name(word)
    folder = tmp_path / name
    folder.mkdir()
    assert folder.resolve().parent == tmp_path.resolve()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    (folder / f"{name}-{10**12}.png").write_bytes(b"")
    assert word_of_safe_name(name, HOSTILE) == word
    assert not name.startswith((" ", ".", "-", "~"))
    assert not name.endswith((" ", "."))


def test_no_two_hostile_words_share_a_name() -> None:
    words = [*HOSTILE, *WORDS]
    assert len({safe_name(word) for word in words}) == len(words)


def test_google_s_words_are_their_own_names() -> None:
    assert [safe_name(word) for word in WORDS] == list(WORDS)


def test_the_two_spellings_of_an_accent_stay_two() -> None:
    composed, apart = "é", unicodedata.normalize("NFD", "é")
    assert safe_name(composed) != safe_name(apart)
    assert safe_name(composed).isascii()


@given(st.text(st.characters(codec=None), max_size=400))
@example("a" * 200)
@example("a" * 201)
@example("CON" + "é" * 33)
def test_every_word_comes_back_from_its_name(word: str) -> None:
    name = safe_name(word)
    assert 1 <= len(name) <= MAX_NAME_BYTES
    assert name.isascii()
    assert not set(name) & set('/\\\0:*?"<>|')
    assert word_of_safe_name(name, [word]) == word
    if "%~" not in name:
        assert word_of_safe_name(name) == word


def test_words_that_are_long_differ_by_their_end() -> None:
    names = {safe_name("x" * 300 + end) for end in ("", "a", "b")}
    assert len(names) == 3
    with pytest.raises(InputError, match="a name that was cut, of a word that is not known here"):
        word_of_safe_name(safe_name("x" * 300), ["x" * 301])


@pytest.mark.parametrize("name", ["", "a/b", "%2e", "%63at", "%zz", "%C3", "..", "CON", "-x", "a%", "x" * 201, "é"])
def test_what_is_nobody_s_name_is_an_error(name: str) -> None:
    with pytest.raises(InputError, match="is not the name of a word"):
        word_of_safe_name(name)
