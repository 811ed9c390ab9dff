"""Every bad input of the data commands: one line on stderr, its exit code, nothing half-written."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.classes import WORDS
from pipeline.cli.main import run as run_command
from tests.shards.builds import build, files_of, random_drawings, records, write

SKETCHPIPE = Path(sys.executable).with_name("sketchpipe")
COMMANDS = [
    "sample", "download", "classes", "shards", "inspect", "verify", "repair", "render sheet", "render pictures",
    "render replay", "render bitmaps", "networks", "train", "sweep", "runs", "evaluate", "predict", "bench",
]  # fmt: skip


class Command:
    """`run()` in this process, in a folder of its own: what the command prints and how it ends."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch
        self.code = -1
        self.out = self.err = ""

    def __call__(self, *words: str | Path) -> "Command":
        self._monkeypatch.setattr(sys, "argv", ["sketchpipe", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            run_command()
        self.code = int(ended.value.code or 0)
        self.out, self.err = self._capsys.readouterr()
        return self

    def fails(self, code: int, message: str) -> None:
        """It ended with this code, nothing on stdout and one line that matches on stderr, after its progress."""
        assert self.code == code
        *progress, last = self.err.splitlines()
        assert re.search(message, last), self.err
        assert last.startswith("sketchpipe: ")
        assert [line for line in progress if "building from" not in line] == []
        assert self.out == ""


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(capsys, monkeypatch)


@pytest.fixture
def cats(tmp_path: Path) -> Path:
    return write(tmp_path / "cats", cat=records("cat", range(60)), hot__dog=records("hot dog", range(60, 120)))


@pytest.fixture
def shards(cats: Path, tmp_path: Path) -> Path:
    build(cats, tmp_path / "built")
    return tmp_path / "built"


def damage(folder: Path, split: str = "train") -> None:
    """Flip a bit in the x of the first row group."""
    (path,) = folder.glob(f"{split}-*")
    with pq.ParquetFile(path) as file:
        column = file.metadata.row_group(0).column(file.schema_arrow.get_field_index("x"))
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 1] ^= 1
    path.write_bytes(content)


def test_a_source_that_is_not_there_is_named(run: Command) -> None:
    run("shards", "nowhere", "--to", "out").fails(3, "nowhere: no such file or folder; `sketchpipe sample` makes one")
    run("shards", "nowhere").fails(3, "nowhere: no such file or folder")
    run("shards", "no*.ndjson", "--to", "out").fails(3, r"no\*\.ndjson: no such file or folder")
    assert not Path("out").exists()


def test_a_folder_without_ndjson_is_an_error(run: Command) -> None:
    Path("empty").mkdir()
    Path("empty/.hidden.ndjson").write_text("x")
    Path("empty/notes.txt").write_text("x")
    run("shards", "empty", "--to", "out").fails(
        3, r"empty: holds no file of drawings \(\.ndjson, .*\), only 1 \.txt; name a file"
    )
    assert not Path("out").exists()


@pytest.mark.parametrize("content", [b"", b"\n\n", b"[" * 3_000_000, b'{"word":"cat"'])
def test_a_file_that_is_no_ndjson_is_an_error_with_its_first_bad_line(run: Command, content: bytes) -> None:
    Path("file.ndjson").write_bytes(content)
    run("shards", "file.ndjson", "--to", "out").fails(
        3, r"file\.ndjson: no drawing in it; is it a Quick, Draw! file\? \("
    )
    assert files_of(Path("out")) == {}


def test_a_damaged_gzip_file_is_an_error(run: Command) -> None:
    Path("cat.ndjson.gz").write_bytes(b"\x1f\x8b\x08\0garbage")
    run("shards", "cat.ndjson.gz", "--to", "out").fails(
        4, r"cat\.ndjson\.gz: its gzip stream is cut short at byte 11; .*; fetch the file anew"
    )


def test_an_unknown_class_is_an_error_that_suggests_the_nearest(run: Command, cats: Path) -> None:
    words = "cat,hotdog"
    run("shards", cats, "--to", "out", "--classes", words).fails(3, "class \"hotdog\": .*; did you mean 'hot dog'")
    assert files_of(Path("out")) == {}


def test_classes_come_from_a_file_one_a_line(run: Command, cats: Path) -> None:
    Path("words.txt").write_bytes(b"\xef\xbb\xbfhot dog\r\n\n cat \n")
    assert run("shards", cats, "--to", "out", "--classes", "@words.txt").code == 0
    assert "120 drawings of 2 classes" in run.err
    run("shards", cats, "--to", "out", "--classes", "@none.txt").fails(3, r"none\.txt: cannot be read as a list")
    Path("binary").write_bytes(b"\xff\xfe")
    run("shards", cats, "--to", "out", "--classes", "@binary").fails(3, "binary: cannot be read as a list")
    run("shards", cats, "--to", "out", "--classes", " , ").fails(2, "the list is empty")


@pytest.mark.parametrize("target", ["file", "file/below", "/proc/nothing", "/proc/nothing/below"])
def test_a_target_that_cannot_be_written_is_an_error(run: Command, cats: Path, shards: Path, target: str) -> None:
    Path("file").write_text("mine")
    run("shards", cats, "--to", target).fails(6, f"{target}: (cannot be written|is a file)")
    run("sample", "--to", target, "--drawings-per-class", "1").fails(6, f"{target}: cannot be written")
    picture = "/proc/nothing.png" if target.startswith("/proc") else "file/sheet.png"
    run("render", "sheet", shards, "--to", picture).fails(6, f"{picture}: cannot be written")
    assert Path("file").read_text() == "mine"


def test_a_picture_over_a_folder_is_an_error(run: Command, shards: Path) -> None:
    Path("pictures").mkdir()
    run("render", "sheet", shards, "--to", "pictures").fails(6, "pictures: is a folder")
    assert sorted(path.name for path in Path().iterdir()) == ["built", "cats", "pictures"]


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_folder_with_foreign_files_is_refused_and_left_as_it_is(run: Command, cats: Path, force: list[str]) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("mine")
    run("shards", cats, "--to", "mine", *force).fails(6, r"mine: holds thesis\.txt, which sketchpipe did not make")
    assert os.listdir("mine") == ["thesis.txt"]  # noqa: PTH208 - hidden ones too


def test_the_sample_never_writes_over_drawings_of_somebody_s_own(run: Command, cats: Path) -> None:
    before = files_of(cats)
    run("sample", "--to", cats, "--drawings-per-class", "1").fails(6, r"cat\.ndjson: exists, but is not of a sample")
    assert files_of(cats) == before
    assert not (cats / ".synthetic").exists()


def test_a_sample_cut_off_is_made_whole(run: Command) -> None:
    assert run("sample", "--to", "s", "--drawings-per-class", "1").code == 0
    whole = files_of(Path("s"))
    Path("s/.synthetic").write_text("unfinished\n")
    Path("s/cat.ndjson").unlink()
    Path("s/dog.ndjson").unlink(missing_ok=True)
    assert run("sample", "--to", "s", "--drawings-per-class", "1").code == 0
    assert files_of(Path("s")) == whole
    assert run("sample", "--to", "s", "--drawings-per-class", "1").err == "s: the sample is already there\n"
    run("sample", "--to", "other", "--drawings-per-class", "0").fails(2, "drawings_per_class 0: expected 1 or more")
    assert not Path("other").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--num-shards", "0"], "num_shards 0: expected 1 or more"),
        (["--drawings-per-class", "0"], "drawings_per_class 0: expected 1 or more"),
        (["--skip-per-class", "-1"], "skip_per_class -1: expected 0 or more"),
        (["--splits", "1,1,1"], 'splits "1,1,1": expected three shares'),
        (["--seed", "-1"], "seed -1: expected a whole number"),
        (["--workers", "0"], "workers 0: expected 1 or more"),
        (["--workers", "1000000000000"], "workers 1000000000000: expected at most 512"),
        (["--classes", "cat,cat"], "a class is named twice"),
    ],
)
def test_an_option_that_makes_no_sense_is_a_usage_error(
    run: Command, cats: Path, options: list[str], message: str
) -> None:
    run("shards", cats, "--to", "out", *options).fails(2, message)
    assert not Path("out").exists()


def test_a_target_must_be_named_where_there_is_no_one_folder_to_name_it(run: Command, cats: Path) -> None:
    run("shards", cats, cats / "cat.ndjson").fails(2, "--to is missing")
    run("shards", cats / "cat.ndjson").fails(2, "--to is missing")
    assert run("shards", cats).code == 0
    assert Path("shards/cats/manifest.json").exists()


@pytest.mark.parametrize(
    "words", [["shards"], ["nonsense"], ["shards", "x", "--nonsense"], ["shards", "x", "--seed", "y"]]
)
def test_words_that_typer_does_not_know_end_with_2(run: Command, words: list[str]) -> None:
    assert run(*words).code == 2
    assert "Traceback" not in run.err


def test_rejected_lines_alone_end_with_0_and_are_told_of_and_with_strict_with_3(run: Command, cats: Path) -> None:
    write(cats, cat=records("cat", range(60)) + b"bad\n")
    run("shards", cats, "--to", "strict", "--strict").fails(
        3, r'cats/cat\.ndjson:61: expected a JSON object, found "b"'
    )
    assert files_of(Path("strict")) == {}
    assert run("shards", cats, "--to", "out").code == 0
    assert "not in a shard: 1 rejected" in run.err
    assert "rejected lines, each with its reason in out/rejects.ndjson: not-an-object 1" in run.err
    assert json.loads(run("inspect", "out", "--json").out)["rejects"] == {"not-an-object": 1}


def test_drawings_in_no_shard_are_counted_as_duplicates_filtered_or_rejected(run: Command) -> None:
    mixed = write(Path("mixed"), cat=records("cat", [*range(60), 0]) + records("cow", range(60, 63)) + b"bad\n")
    assert run("shards", mixed, "--to", "out", "--classes", "cat").code == 0
    assert "not in a shard: 1 duplicate, 3 filtered, 1 rejected\n" in run.err
    assert "read 65: written 60, duplicates 1, filtered 3, rejected 1\n" in run("inspect", "out").out


def test_a_second_run_does_nothing_and_says_so(run: Command, cats: Path) -> None:
    assert run("shards", cats, "--to", "out").code == 0
    before = files_of(Path("out"))
    assert "nothing to do" in run("shards", cats, "--to", "out").err
    assert "building" in run("shards", cats, "--to", "out", "--force").err
    assert files_of(Path("out")) == before


def test_shards_whose_sources_are_gone_are_used_as_they_are(run: Command, cats: Path) -> None:
    assert run("shards", cats, "--to", "out").code == 0
    cats.rename("elsewhere")
    assert run("shards", cats, "--to", "out").code == 0
    assert "nothing to do" in run.err
    run("shards", cats, "--to", "out", "--seed", "1").fails(3, "no such file or folder")
    run("shards", cats, "--to", "out", "--force").fails(3, "no such file or folder")
    run("shards", "others", "--to", "out").fails(3, "no such file or folder")
    (shard,) = Path("out").glob("train-*")
    shard.unlink()
    run("shards", cats, "--to", "out").fails(3, "no such file or folder")


def test_a_corrupt_shard_ends_with_4_and_its_name(run: Command, shards: Path) -> None:
    damage(shards)
    run("inspect", shards).fails(4, r"train-00000-of-00001\.parquet: damaged \(")
    run("inspect", shards, "--json").fails(4, r"train-00000-of-00001\.parquet: damaged \(")
    run("render", "sheet", shards, "--to", "sheet.png").fails(4, r"train-00000-of-00001\.parquet: damaged \(")
    assert not Path("sheet.png").exists()


def test_a_corrupt_footer_or_manifest_ends_with_4(run: Command, shards: Path) -> None:
    (path,) = shards.glob("validation-*")
    path.write_bytes(path.read_bytes()[:-9] + b"\7" + path.read_bytes()[-8:])
    run("inspect", shards).fails(4, r"validation-00000-of-00001\.parquet: damaged \(")
    (shards / "manifest.json").write_text("{}")
    run("inspect", shards).fails(4, r"manifest\.json: damaged")
    run("render", "sheet", shards).fails(4, r"manifest\.json: damaged")


def test_inspecting_what_is_not_there_is_an_error(run: Command, cats: Path) -> None:
    run("inspect", "nowhere").fails(
        3, "nowhere: no such folder; make shards with `sketchpipe shards SOURCE --to nowhere`"
    )
    run("inspect", cats).fails(3, r"no shards here \(manifest\.json is missing\)")
    run("render", "sheet", "nowhere").fails(3, "nowhere: no such folder")


def test_shards_of_another_format_version_end_with_5(run: Command, shards: Path) -> None:
    manifest = json.loads((shards / "manifest.json").read_text())
    (shards / "manifest.json").write_text(json.dumps(manifest | {"format_version": 1}))
    run("inspect", shards).fails(5, "format sketchpipe-shards 1, but this version reads sketchpipe-shards 2")


def test_inspect_counts_what_is_there(run: Command, shards: Path) -> None:
    found = json.loads(run("inspect", shards, "--json").out)
    assert sum(found["drawings"].values()) == found["read"] == 120
    assert {word: sum(counts.values()) for word, counts in found["classes"].items()} == {"cat": 60, "hot dog": 60}
    assert (found["points_per_drawing"], found["strokes_per_drawing"], found["recognized"]) == (2.0, 1.0, None)
    text = run("inspect", shards).out
    assert "120 drawings of 2 classes in 3 shards" in text


def test_a_sheet_of_unknown_classes_or_sizes_is_an_error(run: Command, shards: Path) -> None:
    run("render", "sheet", shards, "--classes", "cta").fails(3, 'has no class "cta"; did you mean cat')
    run("render", "sheet", shards, "--size", "4").fails(2, "expected 1 or more columns, and a size of 8 to 512")
    run("render", "sheet", shards, "--split", "dev").fails(
        2, "'--split': 'dev' is not one of 'train', 'validation', 'test'"
    )
    assert run("render", "sheet", shards, "--columns", "3").code == 0
    assert Path("sheet.png").read_bytes().startswith(b"\x89PNG")
    assert "sheet.png: 6 drawings of 2 classes" in run.err


def test_classes_lists_the_words_or_those_that_resemble(run: Command) -> None:
    assert run("classes").out.splitlines() == list(WORDS)
    assert run("classes", "hotdog").out.splitlines()[0] == "hot dog"
    run("classes", "qqqq").fails(3, 'no word resembles "qqqq"')
    run("classes", "").fails(2, 'TEXT "": expected a word, or no TEXT for all words')


def test_help_names_every_command(run: Command) -> None:
    text = run("--help").out
    assert run.code == 0
    for command in COMMANDS:
        assert re.search(rf"^  {command.split()[0]} ", text, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_s_help_says_what_it_reads_and_writes_and_has_an_example(run: Command, command: str) -> None:
    text = " ".join(run(*command.split(), "--help").out.split())
    assert run.code == 0
    assert "Reads" in text
    assert "writes" in text
    assert f"Example: sketchpipe {command}" in text


def real(*words: str | Path, **how: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SKETCHPIPE, *words], capture_output=True, text=True, check=False, timeout=60, **how)  # type: ignore[call-overload,no-any-return]


def test_the_real_command_ends_with_the_code_and_one_line(cats: Path, tmp_path: Path) -> None:
    ended = real("shards", "nowhere", "--to", tmp_path / "out", cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (3, "", 1)
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()  # a name that is no UTF-8
    ended = real("shards", cats, "--to", tmp_path / os.fsdecode(b"caf\xe9"), env={**os.environ, "LC_ALL": "C"})
    assert ended.returncode == 0, ended.stderr
    assert "120 drawings of 2 classes" in ended.stderr
    ended = real("inspect", tmp_path / os.fsdecode(b"caf\xe9"), env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "caf\\udce9: 120 drawings" in ended.stdout


def test_a_reader_that_goes_away_is_no_error() -> None:
    with subprocess.Popen([SKETCHPIPE, "classes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_build_says_so_in_a_line_and_leaves_no_shards(tmp_path: Path, number: int, code: int) -> None:
    folder = write(tmp_path / "in", **{f"c{k}": random_drawings(f"class {k}", 300, k) for k in range(8)})
    command = [SKETCHPIPE, "shards", folder, "--to", tmp_path / "out"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "building from 8 files" in process.stderr.readline()
        process.send_signal(number)
        said = process.stderr.read()
    assert (process.wait(), said) == (
        code,
        f"sketchpipe: {'interrupted' if code == 130 else 'terminated'}; the same command resumes the build\n",
    )
    assert files_of(tmp_path / "out") == {}
