import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.classes import WORDS
from pipeline.pictures.names import MAX_NAME_BYTES, safe_name

pytestmark = pytest.mark.long

HOSTILE = [
    "", ".", "..", "../x", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "C:\\x", "\0", "a\0b", "x" * 300,
    "é" * 300, "CON", "con", "con.txt", "NUL ", "COM1", "lpt9.png", "aux .x", "console", "-rf", "--to", "~", "~root",
    " cat", "cat ", "cat.", ".hidden", "%", "%41", "%~", "a%~b", "100%", "😀", "👩\u200d👧", "café", "cafe\u0301", "猫",
    "\ud800", "a\nb", "\u202ecat", "$(rm)", "`x`", "*", "?", "a:b", "a|b", 'a"b', "<x>", "COM¹",
]  # fmt: skip


@pytest.mark.parametrize("word", HOSTILE)
def test_a_hostile_word_becomes_one_harmless_folder(tmp_path: Path, word: str) -> None:
    name = safe_name(word)
    folder = tmp_path / name
    folder.mkdir()
    assert folder.resolve().parent == tmp_path.resolve()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    (folder / f"{name}-{10**12}.png").write_bytes(b"")
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


WORD = st.text(st.characters(codec=None), max_size=400)


@given(WORD, WORD)
@example("a" * 200, "a" * 201)
@example("a" * 201, "a" * 202)
@example("caf\u00e9", "cafe\u0301")
@example("%2E", ".")
@example("", "%")
def test_names_are_harmless_and_no_two_words_share_one(word: str, other: str) -> None:
    name = safe_name(word)
    assert 1 <= len(name) <= MAX_NAME_BYTES
    assert name.isascii()
    assert not set(name) & set('/\\\0:*?"<>|')
    assert (name == safe_name(other)) == (word == other)


def test_words_that_are_long_differ_by_their_end() -> None:
    names = {safe_name("x" * 300 + end) for end in ("", "a", "b")}
    assert len(names) == 3
