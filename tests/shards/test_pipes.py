"""A pipe is opened once, by the command that reads it; devices without an end are refused."""

import gzip
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError, OutputError
from pipeline.shards.estimate import check_space, estimate_build
from pipeline.shards.folder import build_folder, foresee_build
from pipeline.shards.options import BuildOptions, BuildSizes
from pipeline.simplified import write_simplified
from pipeline.sources.files import find_sources
from pipeline.sources.read import read_named
from tests.shards.builds import build, files_of, random_drawings, record, records, rows_of, write
from tests.sources.other_kinds import JSON, LINES, kaggle_csv, sketch_rnn, stroke_3

SKETCHPIPE = Path(sys.executable).with_name("sketchpipe")
LONG = record("dog", 0, pad="x" * 200_000) + b"".join(record("dog", key, pad="x" * 400) for key in range(1, 1500))


def sketchpipe(*arguments: Any, **options: Any) -> tuple[int, str]:
    """Run the command; its exit code and what it said."""
    done = subprocess.run(
        [SKETCHPIPE, *map(str, arguments)],
        stderr=subprocess.PIPE, text=True, check=False, timeout=120, **{"stdin": subprocess.DEVNULL, **options},
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def python(program: str, *arguments: Any, **options: Any) -> tuple[int, str]:
    """Run a program of one line; its exit code and what it wrote on stderr."""
    command = [sys.executable, "-c", f"import sys; {program}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)
    return done.returncode, done.stderr


def _write_all(path: Path | int, content: bytes) -> None:
    try:
        with open(path, "wb") as file:  # noqa: PTH123 - may be a descriptor
            file.write(content)
    except BrokenPipeError:  # the reader has what it needs
        pass


@contextmanager
def written(path: Path | int, content: bytes) -> Iterator[None]:
    """A pipe into which a thread writes; `path` is that of a FIFO or the descriptor of the writing end."""
    writer = threading.Thread(target=_write_all, args=(path, content), daemon=True)
    writer.start()
    yield
    writer.join(60)
    assert not writer.is_alive()


@contextmanager
def piped(content: bytes) -> Iterator[Path]:
    """The path of a pipe without a name, as a shell makes it of `<(command)`."""
    reading, writing = os.pipe()
    with written(writing, content):
        yield Path(f"/dev/fd/{reading}")
        os.close(reading)


def descriptor(path: Path) -> int:
    return int(path.name)


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def test_every_drawing_of_a_pipe_beside_a_compressed_file_arrives(tmp_path: Path) -> None:
    cats = tmp_path / "cat.ndjson.gz"
    cats.write_bytes(gzip.compress(records("cat", range(2000, 3500))))
    with piped(LONG) as dogs:
        code, said = sketchpipe("shards", dogs, cats, "--to", tmp_path / "out", pass_fds=[descriptor(dogs)])
    assert (code, len(rows_of(tmp_path / "out"))) == (0, 3000), said
    assert "building from 1 file (" in said
    assert "and 1 pipe" in said
    named = fifo(tmp_path / "dog.ndjson")
    with written(named, LONG):
        code, said = sketchpipe("shards", cats, named, "--to", tmp_path / "named")
    assert (code, len(rows_of(tmp_path / "named"))) == (0, 3000), said


def test_two_pipes_are_read_and_one_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    link = tmp_path / "link.ndjson"
    with piped(LONG) as dogs, piped(records("cat", range(2000, 2100))) as cats:
        link.symlink_to(dogs)
        pipes = [descriptor(dogs), descriptor(cats)]
        again = Path("/proc/self/fd", dogs.name) if Path("/proc/self/fd").exists() else dogs
        code, said = sketchpipe(
            "shards", dogs, cats, dogs, again, link, "--to", tmp_path / "out", pass_fds=pipes
        )  # fmt: skip
    assert (code, len(rows_of(tmp_path / "out"))) == (0, 1600), said


@pytest.mark.parametrize("option", [[], ["--force"]])
def test_a_dry_run_of_a_pipe_is_refused_without_opening_it(tmp_path: Path, option: list[str]) -> None:
    pipe = fifo(tmp_path / "dog.ndjson")
    code, said = sketchpipe("shards", pipe, "--to", tmp_path / "out", "--dry-run", *option)
    assert code == 3
    assert said.startswith(f"sketchpipe: {pipe}: is a pipe or a device, which can be read only once, and a dry run")
    assert said.count("\n") == 1
    with piped(LONG) as dogs, pytest.raises(InputError, match="can be read only once"):
        foresee_build([str(dogs), str(write(tmp_path / "in", cat=LONG))], tmp_path / "out", BuildOptions())


def test_the_space_is_checked_for_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = BuildOptions()
    write(tmp_path / "in", cat=random_drawings("cat", 50, 0))
    (tmp_path / "in" / "dog.ndjson.gz").write_bytes(gzip.compress(LONG))
    files = find_sources([str(tmp_path / "in")])
    needed = estimate_build(files, options).disk_bytes
    with piped(LONG) as dogs:
        pipe, both = find_sources([str(dogs)]), find_sources([str(dogs), str(tmp_path / "in")])
        for free in (0, needed - 1, needed + 1):
            monkeypatch.setattr(shutil, "disk_usage", lambda _path, free=free: shutil._ntuple_diskusage(1, 1, free))  # type: ignore[attr-defined]
            assert check_space(tmp_path / "out", pipe, options) is None
            if free < needed:
                with pytest.raises(OutputError, match="the build needs about"):
                    check_space(tmp_path / "out", both, options)
            else:
                assert check_space(tmp_path / "out", both, options) is None
        assert sum(map(len, read_named([str(dogs)]))) == 1500


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(LONG),
        JSON["pretty-printed"].encode(),
        gzip.compress(JSON["an array in one line"].encode()),
        kaggle_csv(LINES),
        gzip.compress(kaggle_csv(LINES)),
    ],
    ids=["gzip", "json", "json.gz", "csv", "csv.gz"],
)
def test_what_comes_through_a_pipe_is_built_as_from_a_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    build(tmp_path / "file", tmp_path / "expected")
    with piped(content) as pipe:
        build(pipe, tmp_path / "out")
    assert rows_of(tmp_path / "out") == rows_of(tmp_path / "expected") != []


def test_what_declares_its_class_by_its_name_needs_one_as_a_pipe(tmp_path: Path) -> None:
    drawings = [stroke_3([((k, 9), (0, 9))]) for k in range(9)]
    content = sketch_rnn(tmp_path / "file.npz", train=drawings).read_bytes()
    pipe = fifo(tmp_path / "hot dog.npz")
    with written(pipe, content):
        assert build(pipe, tmp_path / "out").classes == ("hot dog",)
    with piped(content) as nameless, pytest.raises(InputError, match="holds no class, and this pipe's name declares"):
        build(nameless, tmp_path / "other")
    with piped(content) as nameless:
        assert sum(map(len, read_named([str(nameless)]))) == 9


def _build_of_fifo(pipe: Path, out: Path, content: bytes) -> None:
    """Build from a pipe with a name, which has the same size and time each time."""
    os.utime(pipe, ns=(1 << 60, 1 << 60))
    with written(pipe, content):
        build(pipe, out)


def test_a_pipe_is_read_again_by_the_next_build(tmp_path: Path) -> None:
    pipe, out = fifo(tmp_path / "pen.ndjson"), tmp_path / "out"
    for word in ("cat", "dog", "dog"):
        _build_of_fifo(pipe, out, records(word, range(100)))
        assert {row[1] for row in rows_of(out)} == {word}
    pipe.unlink()
    with pytest.raises(InputError, match="no such file"):  # what it held is unknown
        build(pipe, out)


class DiedError(BaseException):
    """The process dies here."""


def test_an_interrupted_build_from_a_pipe_is_begun_anew(tmp_path: Path) -> None:
    def die(_step: str, done: float, *_total: float | None, **_note: str) -> None:
        if done > 3 << 20:
            raise DiedError

    pipe, out = fifo(tmp_path / "pen.ndjson"), tmp_path / "out"
    os.utime(pipe, ns=(1 << 60, 1 << 60))
    sizes = BuildSizes(chunk_bytes=1 << 20, segment_bytes=9)
    with written(pipe, random_drawings("cat", 300, 0)), pytest.raises(DiedError):
        build_folder([str(pipe)], out, BuildOptions(), sizes=sizes, progress=die)
    assert len((out / ".build/work/journal.ndjson").read_bytes().splitlines()) > 2
    _build_of_fifo(pipe, out, records("dog", range(100)))
    build(write(tmp_path, dogs=records("dog", range(100))) / "dogs.ndjson", tmp_path / "expected")
    assert rows_of(out) == rows_of(tmp_path / "expected")


def test_a_repair_from_a_pipe_is_refused(tmp_path: Path) -> None:
    pipe, out = fifo(tmp_path / "pen.ndjson"), tmp_path / "out"
    _build_of_fifo(pipe, out, records("dog", range(100)))
    before = files_of(out)
    shard = next(out.glob("train-*"))
    shard.write_bytes(b"")
    damaged = files_of(out)
    for inputs in ([], [pipe]):
        code, said = sketchpipe("repair", out, *inputs)
        assert code == 3
        assert f"{pipe}: " in said
        assert "pipe" in said
    assert files_of(out) == damaged != before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("is_open", [False, True])
def test_a_signal_ends_the_wait_for_a_writer(tmp_path: Path, number: signal.Signals, code: int, is_open: bool) -> None:
    pipe = fifo(tmp_path / "dog.ndjson")
    command = [SKETCHPIPE, "shards", pipe, "--to", tmp_path / "out"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "building from 1 pipe" in process.stderr.readline()
        if is_open:
            writing = os.open(pipe, os.O_WRONLY)
            os.write(writing, LONG[:1000])
        process.send_signal(number)
        assert process.wait(30) == code
        if is_open:
            os.close(writing)


@pytest.mark.parametrize("command", ["shards", "simplify", "predict"])
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom", "/dev/null"])
def test_a_device_is_no_source(tmp_path: Path, device: str, command: str) -> None:
    link = tmp_path / "cat.bin"  # as records, zeros are read to the end
    link.symlink_to(device)
    for path in (device, link):
        if command == "predict":
            code, said = python("from pipeline.sources.read import read_named; print(*read_named(sys.argv[1:]))", path)
            assert code == 1
        else:
            code, said = sketchpipe(command, path, "--to", tmp_path / "out")
            assert code == 3
        assert f"{path}: is a device, not a file; expected a file, a pipe or a terminal" in said
    assert files_of(tmp_path / "out") == {}


def test_stdin_may_be_a_device_only_if_it_is_a_terminal() -> None:
    with Path("/dev/zero").open() as zeros:
        code, said = python("from pipeline.sources.read import read_named; list(read_named(['-']))", stdin=zeros)
    assert (code, "stdin: is a device, not a file; expected a file, a pipe or a terminal" in said) == (1, True)


def test_simplify_reads_a_pipe(tmp_path: Path) -> None:
    with piped(LONG) as pipe:
        (made,) = write_simplified([str(pipe)], tmp_path / "out")
    assert made.drawings == 1500


def test_files_to_predict_name_a_pipe_once(tmp_path: Path) -> None:
    with piped(LONG) as pipe:
        assert sum(map(len, read_named([str(pipe)]))) == 1500
    pipe = fifo(tmp_path / "pipe")
    for names in ([str(pipe)] * 2, ["-", "-"]):
        with pytest.raises(InputError, match="named twice, and can be read only once"):
            list(read_named(names))
