"""Words and names that a terminal would obey, hide or show two columns wide: in every command, its errors and JSON."""

import json
import re
import unicodedata
import warnings
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.errors import InputError
from pipeline.sources.read import read_drawings
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


CODES = ["US", "\x1b[5", "\x9b", "=1"]
EVIL = "e\x1b[31m\n\u202e\x9b\u2028"  # the name of folders and runs


def sources(folder: Path, name: str = "sketches") -> Path:
    lines = [
        records(word, range(60 * k, 60 * k + 60), countrycode=CODES[k % len(CODES)]) for k, word in enumerate(WORDS)
    ]
    return write(folder / name, all=b"".join(lines))


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


def test_no_command_prints_what_a_terminal_obeys_of_words_folders_and_runs(tmp_path: Path) -> None:
    source, shards = sources(tmp_path, EVIL), f"shards{EVIL}"
    with (source / "all.ndjson").open("ab") as text:
        text.write(b'{"word":"\\u001b[31mX","drawing":[]}\n{"word":"<b>",\x1b[31m "x"}\n')
    (tmp_path / f"list{EVIL}").write_text(EVIL)
    run, word = f"run{EVIL}", HOSTILE[0]
    train = (
        "train",
        "--shards",
        shards,
        "--network",
        "sketch-classifier",
        "--batch",
        "64",
        "--epochs",
        "1",
        "--run",
        run,
    )
    commands: list[tuple[tuple[str, ...], int]] = [
        (("shards", EVIL, "--to", shards, "--dry-run"), 0),
        (("shards", EVIL, "--to", shards), 0),
        (("shards", EVIL, "--to", shards), 0),
        (("shards", EVIL, "--to", f"strict{EVIL}", "--strict"), 3),
        (("inspect", shards), 0),
        (("inspect", shards, "--json"), 0),
        (("verify", shards, "--deep"), 0),
        (("repair", shards), 0),
        (("simplify", EVIL, "--to", f"simplified{EVIL}"), 0),
        (("render", "sheet", shards, "--to", f"{EVIL}.png"), 0),
        (("render", "pictures", shards, "--to", f"pictures{EVIL}", "--size", "8"), 0),
        (("render", "replay", shards, "--random", "--split", "train", "--to", f"{EVIL}.svg"), 0),
        (("render", "bitmaps", EVIL, "--to", f"bitmaps{EVIL}"), 3),
        (("download", word), 3),
        (("download", "cat", "--source", f"http://{EVIL}"), 2),
        (("download", "--classes", f"@list{EVIL}"), 3),
        (("classes", EVIL), 3),
        (("sample", "--to", EVIL), 0),
        (("networks", f"--{EVIL}"), 2),
        (train, 0),
        (train, 0),
        (("runs", run), 0),
        (("runs", run, "--json"), 0),
        (("evaluate", "--run", run), 0),
        (("evaluate", "--run", run, "--report", f"{EVIL}.html"), 0),
        (("predict", f"{EVIL}/all.ndjson", "--run", run), 0),
        (("predict", f"{EVIL}/all.ndjson", "--run", run, "--json"), 0),
        (("predict", "--random", "--run", run, "--seed", "1", "--top", "1"), 0),
        (("sweep", "--shards", shards, "--lr", EVIL), 2),
        (("bench", "--shards", f"no{EVIL}"), 3),
        (("export", "--run", f"no{EVIL}"), 3),
    ]
    for words, code in commands:
        ran = in_process(*words, cwd=tmp_path)
        assert ran.returncode == code or words[0] == "export", (words, ran.stderr)  # export may lack its extra
        assert obeyed(ran.stdout + ran.stderr) == [], words
        assert code == 0 or len(ran.stderr.splitlines()) < 5, ran.stderr
    assert obeyed((tmp_path / f"{EVIL}.html").read_text()) == []
    shard = next((tmp_path / shards).glob("train-*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-9])
    for words in (("verify", shards), ("inspect", shards), ("repair", shards)):
        ran = in_process(*words, cwd=tmp_path)
        assert obeyed(ran.stdout + ran.stderr) == [], words


def test_errors_and_warnings_of_the_library_are_printable(tmp_path: Path) -> None:
    source = sources(tmp_path, EVIL)
    with (source / "all.ndjson").open("ab") as text:
        text.write(b'{"word":"\\u001b[31mX","drawing":[]}\n')
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        list(read_drawings([str(source)]))
    said = [str(one.message) for one in warned]
    assert any("1 line rejected" in one for one in said)
    assert obeyed("".join(said)) == []
    with pytest.raises(InputError) as error:
        read_drawings([str(tmp_path / f"no{EVIL}")])
    assert obeyed(str(error.value)) == []


def test_only_the_writers_of_lines_print() -> None:
    writers = {"options.py", "progress.py", "app.py"}  # app.py prints the version
    for path in Path(cli.__path__[0]).glob("*.py"):
        if path.name not in writers:
            assert re.search(r"typer\.echo|\bprint\(|std(out|err)\.write|visible\(", path.read_text()) is None, path


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
