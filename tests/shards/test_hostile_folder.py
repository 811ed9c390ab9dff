"""Links, pipes, devices, sockets, folders and huge files where files of a folder of shards belong.

Every command ends at once, well or with one line, and changes nothing outside the folder.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import OutputError, ShardError, SketchpipeError
from pipeline.pictures.from_shards import PictureOptions, write_drawings
from pipeline.shards.contents import read_contents
from pipeline.shards.folder import build_folder, foresee_build
from pipeline.shards.options import BuildOptions
from pipeline.shards.read import open_split
from pipeline.shards.repair import repair_folder
from pipeline.shards.verify import verify_folder
from tests.shards.builds import build, files_of, records, write

pytestmark = pytest.mark.long

SKETCHPIPE = Path(sys.executable).with_name("sketchpipe")
SECONDS = 20  # after which a command hangs; each takes a part of one
SHARD = "train-00000-of-00001.parquet"
OPTIONS = BuildOptions(seed=4)
NAMES = [
    "manifest.json",
    "rejects.ndjson",
    SHARD,
    ".build",
    *(f".build/{name}" for name in ("lock", "sources.json", "commit.json", "new", "work", ".commit.json.partial")),
    *(f".build/{name}" for name in ("new/manifest.json", "new/rejects.ndjson", "work/journal.ndjson", "work/spill")),
]
KINDS = ["link", "folder link", "pipe", "device", "folder", "socket", "huge"]


def put(kind: str, path: Path, victim: Path) -> None:
    """Put something else where a file or a folder of ours belongs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "link":  # to a file of somebody else
        path.symlink_to(victim / "precious.txt")
    elif kind == "folder link":
        path.symlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound, contextlib.chdir(path.parent):  # such paths are short
            bound.bind(path.name)
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)


@contextlib.contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    def hangs(*_: Any) -> None:
        raise AssertionError("the command hangs")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of shards, beside its sources."""
    folder = tmp_path_factory.mktemp("hostile")
    write(folder / "in", cat=records("cat", range(50)) + b"bad\n", dog=records("dog", range(50, 90)))
    build(folder / "in", folder / "shards")
    return folder / "shards"


def make_victim(folder: Path) -> Path:
    """A folder of somebody else, which has what `.build` has."""
    for name in ("new", "work", "lock.d"):
        (folder / name).mkdir(parents=True)
        (folder / name / "precious.txt").write_text("precious")
    for name in ("precious.txt", "sources.json", "manifest.json"):
        (folder / name).write_text("precious")
    return folder


def all_in(folder: Path) -> dict[str, tuple[bytes | None, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes() if path.is_file() else None, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }


def read_all(folder: Path) -> None:
    for name in ("train", "validation", "test"):
        split = open_split(folder, name)
        for group in range(len(split.row_groups)):
            split.read_packed(group)


def error_of(run: Callable[[Path, Path], object], folder: Path, to: Path) -> SketchpipeError | None:
    try:
        run(folder, to)
    except SketchpipeError as error:
        return error
    return None


COMMANDS: dict[str, Callable[[Path, Path], object]] = {
    "verify": lambda folder, _: verify_folder(folder),
    "inspect": lambda folder, _: read_contents(folder),
    "read": lambda folder, _: read_all(folder),
    "pictures": lambda folder, to: write_drawings(folder, to, PictureOptions()),
    "dry run": lambda folder, _: foresee_build([str(folder.parent / "in")], folder, OPTIONS),
    "shards": lambda folder, _: build_folder([str(folder.parent / "in")], folder, OPTIONS),
    "repair": lambda folder, _: repair_folder(folder),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_no_command_hangs_or_fails_otherwise_than_by_one_line_or_touches_what_is_outside(
    shards: Path, tmp_path: Path, name: str, kind: str
) -> None:
    if (kind, name) == ("huge", "rejects.ndjson"):
        pytest.skip("verify reads a terabyte: no limit of a list of rejects is known")
    victim = make_victim(tmp_path / "victim")
    shutil.copytree(shards.parent / "in", tmp_path / "in")
    before = all_in(victim)
    for command, run in COMMANDS.items():
        folder = Path(shutil.copytree(shards, tmp_path / command, symlinks=True))
        place = folder / name
        if place.is_dir():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        put(kind, place, victim)
        with no_longer_than(SECONDS):
            error = error_of(run, folder, tmp_path / "pictures")
        if error is not None:
            assert error.exit_code in (3, 4, 6), (command, error)
            assert "\n" not in str(error)
            assert "Errno" not in str(error), command
        assert all_in(victim) == before, command


@pytest.mark.parametrize(
    "name", [".build", *(f".build/{name}" for name in ("lock", "new", "work", "new/manifest.json"))]
)
@pytest.mark.parametrize("kind", ["folder link", "pipe", "device"])
def test_a_build_names_what_is_no_file_of_ours_and_its_remedy_works(
    shards: Path, tmp_path: Path, name: str, kind: str
) -> None:
    victim, folder = make_victim(tmp_path / "victim"), Path(shutil.copytree(shards, tmp_path / "shards"))
    old, place = files_of(folder), folder / name
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    put(kind, place, victim)
    for run in (COMMANDS["shards"], COMMANDS["dry run"]):
        shutil.copytree(shards.parent / "in", tmp_path / "in", dirs_exist_ok=True)
        with pytest.raises(OutputError, match=rf"^{place}: (is a|is not a folder|cannot).*; (remove|move) it"):
            run(folder, tmp_path)
    assert files_of(folder) == old
    place.unlink()
    build_folder([str(shards.parent / "in")], folder, OPTIONS)


def test_the_folder_itself_and_its_shards_may_be_links(shards: Path, tmp_path: Path) -> None:
    shutil.copytree(shards, tmp_path / "store")
    shutil.copytree(shards.parent / "in", tmp_path / "in")
    folder = tmp_path / "shards"
    folder.symlink_to("store")
    (folder / SHARD).rename(tmp_path / "blob")
    (folder / SHARD).symlink_to(tmp_path / "blob")
    blob = (tmp_path / "blob").read_bytes()
    assert verify_folder(folder, deep=True) == []
    assert files_of(folder) == files_of(shards)
    read_all(folder)
    assert build_folder([str(tmp_path / "in")], folder, OPTIONS)[1]
    assert verify_folder(folder) == []
    assert folder.is_symlink()
    assert not (folder / SHARD).is_symlink()
    assert (tmp_path / "blob").read_bytes() == blob


def test_a_manifest_that_is_a_link_is_refused(shards: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(shards, tmp_path / "shards"))
    (folder / "manifest.json").rename(tmp_path / "manifest.json")
    (folder / "manifest.json").symlink_to("../manifest.json")
    with pytest.raises(
        ShardError, match=r"manifest\.json: is a link where a file belongs; put the manifest itself there"
    ):
        open_split(folder, "train")
    assert [str(damage) for damage in verify_folder(folder)] == ["manifest.json: is a link where a file belongs"]


@pytest.mark.parametrize("command", [["inspect"], ["verify", "--deep"], ["render", "sheet"], ["train", "--shards"]])
def test_a_pipe_where_a_shard_belongs_ends_a_command_with_one_line(
    shards: Path, tmp_path: Path, command: list[str]
) -> None:
    folder = Path(shutil.copytree(shards, tmp_path / "shards"))
    (folder / SHARD).unlink()
    os.mkfifo(folder / SHARD)
    ended = subprocess.run(
        [str(SKETCHPIPE), *command, str(folder)], capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path
    )
    assert ended.returncode == 4
    assert "is a pipe, not a file" in ended.stdout + ended.stderr
    assert ended.stderr.splitlines()[-1].startswith(f"sketchpipe: {folder}")
    assert "Traceback" not in ended.stderr
