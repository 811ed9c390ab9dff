"""Builds that are killed: the old set or the new one stands, and the next build's bytes are an undisturbed one's."""

import contextlib
import fcntl
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import LockedError, ShardError
from pipeline.shards.build import Build
from pipeline.shards.manifest import MANIFEST, SHARDS, read_manifest
from pipeline.shards.options import BuildOptions
from pipeline.sources.files import find_sources
from pipeline.storage.commit import locked
from tests.shards.builds import build, files_of, keyless, random_drawings, records, staging, write

pytestmark = pytest.mark.long

SKETCHPIPE = Path(sys.executable).with_name("sketchpipe")
KILLS = 8


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kill") / "in"
    pens = {f"class{k}": random_drawings(f"class {k}", 150, k) + b"bad\n" for k in range(6)}
    pens["class1"] += keyless(random_drawings("class 0", 150, 0))  # the drawings of class 0 once more
    return write(folder, **pens)


@pytest.fixture(scope="module")
def whole(sources: Path) -> dict[str, bytes]:
    """An undisturbed build's files."""
    build(sources, sources.parent / "whole", num_shards=3, seed=1)
    return files_of(sources.parent / "whole")


@pytest.fixture(scope="module")
def seconds(sources: Path) -> float:
    """What a build by the command takes once it has begun."""
    with begun(sources, sources.parent / "timed", "--num-shards", "3", "--seed", "1") as process:
        start = time.monotonic()
        assert process.wait() == 0
        return time.monotonic() - start


@contextlib.contextmanager
def begun(sources: Path, out: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The real command, at the moment when it has begun to build; killed at the end."""
    command = [str(SKETCHPIPE), "shards", str(sources), "--to", str(out), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            assert "building from 6 files" in process.stderr.readline()
            yield process
        finally:
            process.kill()


def kill_after(process: subprocess.Popen[str], seconds: float) -> bool:
    """SIGKILL after so long; whether it was still at work."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return True
    return False


def test_a_build_killed_at_any_moment_is_built_anew_with_the_same_bytes(
    sources: Path, whole: dict[str, bytes], seconds: float, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    killed = 0
    for delay in random.uniform(0, seconds, KILLS):
        out = tmp_path / f"{delay:.4f}"
        with begun(sources, out, "--num-shards", "3", "--seed", "1") as process:
            killed += kill_after(process, delay)
        assert files_of(out) in ({}, whole) or SHARDS.is_pending(out)
        build(sources, out, num_shards=3, seed=1)
        assert files_of(out) == whole
        assert staging(out) == ["lock", "sources.json"]
    assert killed


def test_the_old_set_stands_while_its_rebuild_is_killed(
    sources: Path, whole: dict[str, bytes], seconds: float, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    build(sources, out, classes=("class 1",))
    old = files_of(out)
    for delay in np.random.default_rng(1).uniform(0, seconds / 2, 3):
        with begun(sources, out, "--num-shards", "3", "--seed", "1", "--force") as process:
            kill_after(process, delay)
        assert files_of(out) in (old, whole) or SHARDS.is_pending(out)
    # The old build once more: what the dead ones left is gone, though nothing may be left to do.
    build(sources, out, classes=("class 1",))
    assert files_of(out) == old
    assert staging(out) == ["lock", "sources.json"]


class KilledError(BaseException):
    """The process dies here."""


def staged_build(sources: Path, out: Path) -> None:
    """A whole new set, staged and not committed."""
    with locked(out):
        Build(find_sources([str(sources)]), BuildOptions(num_shards=3, seed=1), out).run()


def commit_until(moves: int, out: Path, remove: list[str]) -> bool:
    """Commit what is staged, and die before so many files are moved or removed; whether that came to pass."""
    left = [moves]

    def counted(move: Any) -> Any:
        def moved(path: Path, *args: Any, **options: Any) -> Any:
            if path.name.endswith((".parquet", ".json", ".ndjson")):
                if not left[0]:
                    raise KilledError
                left[0] -= 1
            return move(path, *args, **options)

        return moved

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", counted(Path.unlink))
        patch.setattr(Path, "replace", counted(Path.replace))
        try:
            SHARDS.commit(out, remove, "{}")
        except KilledError:
            return True
    return False


def test_a_commit_cut_off_between_any_two_moves_is_finished_by_whoever_comes_next(tmp_path: Path) -> None:
    sources = write(tmp_path / "in", cat=records("cat", range(50)) + b"bad\n", dog=records("dog", range(50, 90)))
    build(sources, tmp_path / "whole", num_shards=3, seed=1)
    whole = files_of(tmp_path / "whole")
    for moves in itertools.count():
        out = tmp_path / str(moves)
        old = build(sources, out, classes=("cat",))
        before = files_of(out)
        staged_build(sources, out)
        died = commit_until(moves, out, [MANIFEST, "rejects.ndjson", *(file.name for file in old.files)])
        if not moves:  # the journal itself is not in place
            assert files_of(out) == before
            continue
        if died:
            with pytest.raises(ShardError, match="cut off in its last step"):
                read_manifest(out)
        SHARDS.roll_forward(out)
        assert files_of(out) == whole
        build(sources, out, num_shards=3, seed=1)
        assert files_of(out) == whole
        assert staging(out) == ["lock", "sources.json"]
        if not died:
            break
    assert moves > len(old.files) + len(whole)


def test_a_set_that_was_staged_but_not_committed_is_thrown_away(
    sources: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    staged_build(sources, out)
    assert files_of(out) == {}
    assert staging(out) == ["lock", "new", "work"]
    (out / ".build" / ".commit.json.partial").write_text('{"rem')
    (out / ".build" / "work" / "spill").write_bytes(b"\0")
    build(sources, out, num_shards=3, seed=1)
    assert files_of(out) == whole
    assert staging(out) == ["lock", "sources.json"]


def test_the_second_of_two_builds_in_a_folder_exits_with_7_and_names_the_first(sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with locked(out):
        command = [str(SKETCHPIPE), "shards", str(sources), "--to", str(out)]
        second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 7
    assert second.stderr == f"sketchpipe: {out}: process {os.getpid()} is writing it; wait for it to end\n"
    assert not out.exists()  # nothing was made of it, so nothing is left


def test_a_lock_is_held_against_other_processes_and_a_dead_one_s_is_taken_over(sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with begun(sources, out, "--workers", "1") as process:
        with pytest.raises(LockedError, match=f"process {process.pid} is writing it"), locked(out):
            pass
        process.kill()
        process.wait()
        with locked(out):
            assert (out / ".build" / "lock").read_text() == str(os.getpid())


def test_a_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    with (tmp_path / ".build" / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_an_error_in_the_middle_leaves_the_old_set_and_no_staging(tmp_path: Path) -> None:
    folder, out = write(tmp_path / "in", cat=records("cat", range(20))), tmp_path / "out"
    build(folder, out)
    old = files_of(out)
    write(folder, dog=b"bad\n")
    with pytest.raises(Exception, match="no drawing in it"):
        build(folder, out)
    assert files_of(out) == old
    assert staging(out) == ["lock", "sources.json"]
