"""A bit that flips in `.build/` between a kill and the next build: the same bytes as without both, or one line."""

import contextlib
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DamagedError
from pipeline.shards.manifest import REJECTS, SHARDS
from tests.shards.builds import build, files_of, keyless, records, staging, write

pytestmark = pytest.mark.long

TRIALS = 30
SETTINGS: dict[str, Any] = {"num_shards": 3, "seed": 1, "segment_bytes": 4000, "segment_input_bytes": 1}
CALLS = ("write", "fsync", "replace", "unlink", "mkdir", "rmdir", "ftruncate", "open")


class KilledError(BaseException):
    """The process dies here."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pens = {f"class{k}": records(f"class {k}", range(k * 200, (k + 1) * 200)) + b"bad\n" * 9 for k in range(6)}
    pens["class1"] += keyless(pens["class0"].removesuffix(b"bad\n" * 9))
    return write(tmp_path_factory.mktemp("rot") / "in", **pens)


@pytest.fixture(scope="module")
def whole(sources: Path) -> dict[str, bytes]:
    """An undisturbed build's files."""
    build(sources, sources.parent / "whole", num_shards=3, seed=1)
    return files_of(sources.parent / "whole")


def build_until(dies: Callable[[int, str], bool], sources: Path, out: Path) -> int:
    """Build, and let calls of `os` that change the disk fail from the first for which `dies` holds, given the number of
    the call and its name with its first argument; returns how many there were before it."""
    count, is_dead = itertools.count(), []

    def counted(real: Any, call: str) -> Any:
        def called(*args: Any, **options: Any) -> Any:
            changes = call != "open" or args[1] & os.O_CREAT
            if changes and (is_dead or dies(next(count), f"{call} {args[0]}")):
                is_dead.append(True)
                raise KilledError
            return real(*args, **options)

        return called

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(KilledError):
        for call in CALLS:
            patch.setattr(os, call, counted(getattr(os, call), call))
        build(sources, out, **SETTINGS)
    return next(count) - len(is_dead[:1])


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


@pytest.fixture(scope="module")
def calls(sources: Path) -> int:
    """How many calls an undisturbed build makes."""
    return build_until(lambda *_: False, sources, sources.parent / "counted")


def test_a_bit_that_flips_between_a_kill_and_the_next_build_never_leads_to_other_bytes(
    sources: Path, whole: dict[str, bytes], calls: int, tmp_path: Path
) -> None:
    random = np.random.default_rng(7)
    flipped = set()
    for trial in range(TRIALS):
        out, kill = tmp_path / str(trial), int(random.integers(calls // 8, calls))
        build_until(lambda number, _, kill=kill: number == kill, sources, out)  # type: ignore[misc]
        kinds: dict[str, list[Path]] = {}
        for path in sorted((out / ".build").rglob("*")):
            if path.is_file() and path.name != "lock" and path.stat().st_size:
                kinds.setdefault(path.name.partition("-")[0], []).append(path)
        if kinds:
            kind = sorted(kinds)[random.integers(len(kinds))]
            path = kinds[kind][random.integers(len(kinds[kind]))]
            flip(path, int(random.integers(8 * path.stat().st_size)))
            flipped.add(kind)
        with contextlib.suppress(DamagedError):  # of a commit, as below
            build(sources, out, **SETTINGS)
        if SHARDS.is_pending(out):
            (out / ".build" / "commit.json").unlink()
            build(sources, out, **SETTINGS)
        assert files_of(out) == whole
        assert staging(out) == ["lock", "sources.json"]
    assert flipped >= {"spill", "journal.ndjson", REJECTS, "train"}


@pytest.mark.parametrize("name", [REJECTS, "train-00001-of-00003.parquet", "manifest.json"])
def test_a_staged_file_that_was_altered_is_made_anew(
    sources: Path, whole: dict[str, bytes], tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    build_until(lambda _, call: call.endswith("/.commit.json.partial"), sources, out)
    flip(out / ".build" / "new" / name, 8 * 100)
    build(sources, out, **SETTINGS)
    assert files_of(out) == whole


def test_what_follows_the_proved_rejects_is_removed(sources: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    build_until(lambda _, call: call.endswith("/.commit.json.partial"), sources, out)
    with (out / ".build" / "new" / REJECTS).open("ab") as rejects:
        rejects.write(b"more\n")
    build(sources, out, **SETTINGS)
    assert files_of(out) == whole


@pytest.mark.parametrize("name", ["commit.json", "new/manifest.json", "new/train-00001-of-00003.parquet"])
def test_a_commit_that_was_altered_before_it_is_finished_ends_in_one_line_whose_remedy_works(
    sources: Path, whole: dict[str, bytes], tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    build(sources, out, classes=("class 1",))
    build_until(lambda _, call: call.startswith("replace") and call.endswith(".parquet"), sources, out)
    assert SHARDS.is_pending(out)
    size = (out / ".build" / name).stat().st_size
    for bit in (4, 8 * 40, 8 * size - 5):
        flip(out / ".build" / name, bit)
        with pytest.raises(DamagedError, match=f"^{out}/.build/{name}: damaged; remove .*commit.json and run"):
            build(sources, out, **SETTINGS)
        flip(out / ".build" / name, bit)
    if name != "commit.json":  # whose size is limited as that of any manifest
        os.truncate(out / ".build" / name, 1 << 40)  # takes half an hour to hash
        with pytest.raises(DamagedError, match="damaged; remove"):
            build(sources, out, **SETTINGS)
        os.truncate(out / ".build" / name, size)
    flip(out / ".build" / name, 40)
    (out / ".build" / "commit.json").unlink()
    build(sources, out, **SETTINGS)
    assert files_of(out) == whole
