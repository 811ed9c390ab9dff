"""Words and names that a terminal would obey, hide or show two columns wide: in every command, its errors and JSON."""

import json
import re
import unicodedata
from pathlib import Path

import pytest

from pipeline.wording import aligned, columns_of, json_text, visible
from tests.shards.builds import records, write
from tests.small import in_process

pytestmark = pytest.mark.long

HOSTILE = [
    "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "line\nbreak\rhere",
    "\u202eevil\u202c",
    "\x9b31mC1",
    "\u2028sep\u2029",
]
WIDE = ["\u732b", "cafe\u0301", "\U0001f600 face", "\uace0\uc591\uc774"]
WORDS = [*HOSTILE, *WIDE, "cat"]


def sources(folder: Path) -> Path:
    lines = [records(word, range(60 * k, 60 * k + 60)) for k, word in enumerate(WORDS)]
    return write(folder / "sketches", all=b"".join(lines))


def obeyed(text: str) -> list[str]:
    """The characters of a text, apart from ends of lines and of bars, that a terminal does not just show."""
    return [c for c in text if not c.isprintable() and c != "\n"]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    sources(tmp_path)
    ran = in_process("shards", "sketches", "--to", "shards/x", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert obeyed(ran.stdout + ran.stderr) == []
    return tmp_path


def test_inspect_escapes_words_aligns_wide_ones_and_gives_the_exact_words_as_json(work: Path) -> None:
    ran = in_process("inspect", "shards/x", cwd=work)
    assert obeyed(ran.stdout) == []
    rows = [line for line in ran.stdout.split("\n") if re.search(r"\d+ +\d+ +\d+$", line)]
    assert len(rows) == len(WORDS) + 1  # and the sum
    assert len({columns_of(row) for row in rows}) == 1
    for word in WORDS:
        assert any(row.startswith(visible(word)) for row in rows)
    ran = in_process("inspect", "shards/x", "--json", cwd=work)
    assert obeyed(ran.stdout) == []
    assert sorted(json.loads(ran.stdout)["classes"]) == sorted(WORDS)


@pytest.mark.parametrize("word", HOSTILE)
def test_a_word_in_an_error_is_escaped_in_one_line(work: Path, word: str) -> None:
    for words in (
        ("render", "sheet", "shards/x", "--classes", f"{word}!"),
        ("shards", "sketches", "--to", "shards/y", "--classes", f"{word}!"),
        ("classes", f"{word}zzzz"),
        ("inspect", f"shards/{word}"),
        ("train", "--network", word, "--shards", "shards/x"),
        ("sample", f"--{word}"),
        (word,),
    ):
        ran = in_process(*words, cwd=work)
        assert ran.returncode in (2, 3), words
        assert obeyed(ran.stdout + ran.stderr) == []
        assert ran.stderr.splitlines()[-1].startswith("sketchpipe: "), ran.stderr


def test_a_run_of_hostile_words_is_trained_scored_and_asked_without_an_escape(work: Path) -> None:
    run = "run\x1b[31m"
    train = ("train", "--shards", "shards/x", "--network", "sketch-classifier", "--batch", "64", "--epochs", "1")
    commands = [
        (*train, "--run", run),
        ("evaluate", "--run", run),
        ("evaluate", "--run", run, "--json"),
        ("predict", "--run", run, "--random", "--seed", "1", "--top", "all"),
        ("predict", "--run", run, "--random", "--seed", "1", "--json"),
        ("runs", run),
    ]
    told = {}
    for words in commands:
        ran = in_process(*words, cwd=work)
        assert ran.returncode == 0, ran.stderr
        assert obeyed(ran.stdout + ran.stderr) == [], words
        told[words] = ran.stdout
    rows = [line for line in told[commands[1]].split("\n") if re.search(r"(%|too few) +\d+$", line)]
    assert (len(rows), len({columns_of(row) for row in rows})) == (len(WORDS), 1)
    assert sorted(json.loads(told[commands[2]])["classes"]) == sorted(WORDS)
    rows = [line.removesuffix("  <- drawn") for line in told[commands[3]].split("\n")][: len(WORDS)]
    assert len({columns_of(row) for row in rows}) == 1
    assert sorted(json.loads(told[commands[4]])["labels"]) == sorted(WORDS)


def test_what_is_shown_is_printable_and_as_wide_as_said() -> None:
    everything = "".join(map(chr, range(0x3000)))
    assert visible(everything).isprintable()
    assert visible("caf\u00e9 \u732b") == "caf\u00e9 \u732b"
    assert visible("\udcff") == "\\udcff"  # of a file name that is not UTF-8
    assert json.loads(json_text({everything: ["\U000e0001\x7f\udcff"]})) == {everything: ["\U000e0001\x7f\udcff"]}
    for word in ("cafe\u0301", unicodedata.normalize("NFD", "\uace0\uc591\uc774"), "\U0001f600"):
        composed = unicodedata.normalize("NFC", word)
        assert columns_of(word) == columns_of(composed)
        assert columns_of(aligned(word, 9) + "|") == 10
