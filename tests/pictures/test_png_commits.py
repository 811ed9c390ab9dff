"""How a set of picture folders takes its place: killed, interrupted, on a failing disk, beside another process."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DamagedError, InputError, LockedError, OutputError
from pipeline.storage.commit import locked
from tests.pictures.bitmap_sets import files_of, some_bitmaps, write

pytestmark = pytest.mark.long


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "numpy"
    folder.mkdir()
    np.save(folder / "cat.npy", some_bitmaps(20, 1))
    np.save(folder / "full_numpy_bitmap_hot%20dog.npy", some_bitmaps(10, 2))
    return folder


KILLED = """
import os, signal, sys
from pathlib import Path
left, begin = int(sys.argv[3]), sys.argv[4]
def step(event, arguments):
    global left, begin
    if event in ("os.rename", "os.remove", "os.mkdir", "open") and sys.argv[2] in str(arguments[0]):
        begin = "" if begin in str(arguments) else begin
        left -= not begin
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
from pipeline.pictures.from_bitmaps import BitmapOptions, write_folders
sys.addaudithook(step)
write_folders([sys.argv[1]], Path(sys.argv[2]), BitmapOptions(seed=1), workers=1)
"""


def killed_at(step: int, source: Path, to: Path, begin: str = "") -> bool:
    """Whether a process that writes with seed 1 was killed: at a step counted from the first that names `begin`."""
    words = [sys.executable, "-c", KILLED, str(source), str(to), str(step), begin]
    ended = subprocess.run(words, capture_output=True, text=True)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode != 0


def test_a_process_killed_at_any_step_leaves_a_set_that_the_next_one_completes(tmp_path: Path) -> None:
    source, to = tmp_path / "numpy", tmp_path / "out"
    source.mkdir()
    np.save(source / "cat.npy", some_bitmaps(12, 1))
    write(source, tmp_path / "old")
    write(source, tmp_path / "new", seed=1)
    old, new = files_of(tmp_path / "old"), files_of(tmp_path / "new")
    killed = 0
    for step in range(1, 200, 5):
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(tmp_path / "old", to)
        if not killed_at(step, source, to):
            break
        killed += 1
        if (to / "bitmaps.json").exists() and not (to / ".build" / "pictures-commit.json").exists():
            assert files_of(to) in (old, new)
        write(source, to, seed=1)
        assert files_of(to) == new
        assert not write(source, to, seed=1)[1]
        assert sorted(path.name for path in (to / ".build").iterdir()) == ["lock", "picture-sources.json"]
    assert killed > 10
    assert files_of(to) == new


@pytest.fixture
def pending(source: Path, tmp_path: Path) -> Path:
    """A set whose successor, of seed 1, is committed and only partly moved: its mark is put aside."""
    to = tmp_path / "out"
    write(source, to)
    assert killed_at(3, source, to, "pictures-old")
    assert (to / ".build" / "pictures-commit.json").exists()
    assert not (to / "bitmaps.json").exists()
    return to


def everything_in(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below a folder but the lock, which names its last holder."""
    found = (path for path in folder.rglob("*") if path.name != "lock")
    return {str(path): path.read_bytes() if path.is_file() else None for path in found}


def test_a_commit_that_waits_is_finished_by_nobody_but_the_lock_s_holder(source: Path, pending: Path) -> None:
    with locked(pending):
        before = everything_in(pending)
        with pytest.raises(LockedError, match=f"out: process {os.getpid()} is writing it"):
            write(source, pending, seed=1)
        assert everything_in(pending) == before
    assert not write(source, pending, seed=1)[1]
    assert write(source, pending, seed=2)[1]


def test_a_set_is_not_taken_for_a_stranger_s_while_another_process_moves_it(source: Path, tmp_path: Path) -> None:
    write(source, tmp_path / "out")
    with locked(tmp_path / "out"):
        (tmp_path / "out" / "bitmaps.json").unlink()  # as a commit does first, and before it is done
        with pytest.raises(LockedError, match="is writing it"):
            write(source, tmp_path / "out", seed=1)


def test_a_commit_that_waits_is_finished_though_its_sources_are_gone(
    source: Path, pending: Path, tmp_path: Path
) -> None:
    write(source, tmp_path / "new", seed=1)
    shutil.rmtree(source)
    with pytest.raises(InputError, match="numpy: no such file or folder"):
        write(source, pending, seed=1)
    assert files_of(pending) == files_of(tmp_path / "new")


def test_a_commit_that_version_0_1_left_is_finished(source: Path, pending: Path, tmp_path: Path) -> None:
    write(source, tmp_path / "new", seed=1)
    journal = pending / ".build" / "pictures-commit.json"
    moves = json.loads(journal.read_text())
    names = ["bitmaps.json", "index.csv", "train", "validation", "test"]  # in its order, and none to remove
    assert sorted(moves["add"]) == sorted(name for name in names if (tmp_path / "new" / name).exists())
    moves = {"add": [name for name in names if name in moves["add"]], "origin": moves["origin"]}
    journal.write_text(json.dumps(moves))
    assert not write(source, pending, seed=1)[1]
    assert files_of(pending) == files_of(tmp_path / "new")


JOURNALS = [
    b"", b"{", b"7", b"\xff", b"null", b"[]", b'{"add": [], "origin": ""}', b'{"add": 7, "origin": ""}',
    b'{"add": ["bitmaps.json", "index.csv", "../x"], "origin": ""}', b'{"add": [{}], "origin": ""}',
]  # fmt: skip


@pytest.mark.parametrize("content", JOURNALS)
def test_a_damaged_journal_is_told_with_the_remedy_and_nothing_is_touched(
    source: Path, pending: Path, content: bytes
) -> None:
    (pending / ".build" / "pictures-commit.json").write_bytes(content)
    before = everything_in(pending)
    with pytest.raises(DamagedError, match=r"pictures-commit\.json: damaged; remove .*out and make the pictures again"):
        write(source, pending, seed=1)
    assert everything_in(pending) == before
    shutil.rmtree(pending)
    assert write(source, pending, seed=1)[1]


@pytest.mark.parametrize("content", [b"", b"{", b"7", b"\xff", b"null"])
def test_what_tells_of_the_sources_may_be_damaged_and_the_set_is_written_anew(
    source: Path, tmp_path: Path, content: bytes
) -> None:
    write(source, tmp_path / "out")
    (tmp_path / "out" / ".build" / "picture-sources.json").write_bytes(content)
    assert write(source, tmp_path / "out")[1]
    assert not write(source, tmp_path / "out")[1]


class Fault:
    """Lets the `step`-th call of those functions of `os` that change or sync something raise `error`."""

    def __init__(self, patch: pytest.MonkeyPatch, step: int, error: BaseException) -> None:
        self.left = step
        self.error = error
        for name in ("rename", "replace", "mkdir", "fsync", "unlink", "rmdir", "write"):
            patch.setattr(os, name, self._failing(getattr(os, name)))

    def _failing(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise type(self.error)(*self.error.args)
            return real(*args, **options)

        return call


FAULTS = [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]


@pytest.mark.parametrize("error", FAULTS, ids=["disk full", "Ctrl-C"])
def test_whatever_step_fails_the_set_that_stands_is_told_truly(tmp_path: Path, error: BaseException) -> None:
    source, to = tmp_path / "numpy", tmp_path / "out"
    source.mkdir()
    np.save(source / "cat.npy", some_bitmaps(12, 1))
    write(source, tmp_path / "old")
    write(source, tmp_path / "new", seed=1)
    old, new = files_of(tmp_path / "old"), files_of(tmp_path / "new")
    told = set()
    for step in range(1, 100):
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(tmp_path / "old", to)
        with pytest.MonkeyPatch.context() as patch:
            fault = Fault(patch, step, error)
            message = None
            try:
                write(source, to, seed=1, workers=1)
            except (OutputError, KeyboardInterrupt) as failure:
                message = str(failure)
        if fault.left > 0:
            break
        pending = (to / ".build" / "pictures-commit.json").exists()
        assert pending or files_of(to) in (old, new)
        stands = files_of(to) == new or pending
        if message is not None and isinstance(error, OSError):
            end = "run the command again to finish it" if pending else "what was there is unchanged"
            assert f"({error.strerror})" in message
            assert message.endswith(end)
            told.add(end)
        assert write(source, to, seed=1)[1] == (not stands)
        assert files_of(to) == new
    assert step > 20
    assert len(told) == (2 if isinstance(error, OSError) else 0)


def test_pictures_that_were_altered_before_their_commit_is_finished_are_not_put_in_place(
    source: Path, pending: Path
) -> None:
    staged = pending / ".build" / "pictures-new"
    for path in (next(staged.rglob("*.png")), staged / "index.csv"):
        content = path.read_bytes()
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        with pytest.raises(DamagedError, match=r"pictures-new/.*: damaged; remove .*out and make the pictures again"):
            write(source, pending, seed=1)
        path.write_bytes(content)
    assert not write(source, pending, seed=1)[1]


@pytest.mark.parametrize("name", ["", "pictures-new", "pictures-old", "lock", "pictures-commit.json"])
def test_pictures_are_not_written_through_a_link(source: Path, tmp_path: Path, name: str) -> None:
    write(source, tmp_path / "out")
    victim = tmp_path / "victim"
    (victim / "pictures-new").mkdir(parents=True)
    (victim / "pictures-new" / "precious.txt").write_text("precious")
    place = tmp_path / "out" / ".build" / name
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.symlink_to(victim)
    before = everything_in(victim), files_of(tmp_path / "out")
    with pytest.raises(OutputError, match=f"^{place}: is a link.*; remove it, and run the command again"):
        write(source, tmp_path / "out", seed=1)
    assert (everything_in(victim), files_of(tmp_path / "out")) == before
