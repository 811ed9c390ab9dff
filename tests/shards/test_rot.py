"""A bit that flips in `.build/` between a kill and the next build: the same bytes as without both, or one line."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DamagedError, SketchpipeError
from pipeline.shards.manifest import REJECTS, SHARDS
from pipeline.shards.verify import verify_folder
from tests.shards.builds import build, files_of, keyless, records, staging, write

pytestmark = pytest.mark.long

TRIALS = 60
SETTINGS = {"num_shards": 3, "seed": 1, "segment_bytes": 4000, "segment_input_bytes": 1}
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


def build_until(calls: int | None, sources: Path, out: Path) -> int:
    """Build, and let every call of `os` that changes the disk fail after so many; returns how many there were."""
    count = [0]

    def counted(real: Any, call: str) -> Any:
        def called(*args: Any, **options: Any) -> Any:
            if call != "open" or args[1] & os.O_CREAT:
                count[0] += 1
                if calls is not None and count[0] > calls:
                    raise KilledError
            return real(*args, **options)

        return called

    with pytest.MonkeyPatch.context() as patch:
        for call in CALLS:
            patch.setattr(os, call, counted(getattr(os, call), call))
        try:
            build(sources, out, **SETTINGS)
        except KilledError:
            pass
    return count[0]


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_a_bit_that_flips_between_a_kill_and_the_next_build_never_leads_to_other_bytes(
    sources: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    calls = build_until(None, sources, tmp_path / "undisturbed")
    assert files_of(tmp_path / "undisturbed") == whole
    random = np.random.default_rng(7)
    flipped, refused = set(), 0
    for trial in range(TRIALS):
        out = tmp_path / str(trial)
        build_until(int(random.integers(calls // 8, calls)), sources, out)
        kinds: dict[str, list[Path]] = {}
        for path in sorted((out / ".build").rglob("*")):
            if path.is_file() and path.name != "lock" and path.stat().st_size:
                kinds.setdefault(path.name.partition("-")[0], []).append(path)
        if kinds:
            kind = sorted(kinds)[random.integers(len(kinds))]
            path = kinds[kind][random.integers(len(kinds[kind]))]
            flip(path, int(random.integers(8 * path.stat().st_size)))
            flipped.add(kind)
        try:
            build(sources, out, **SETTINGS)
        except SketchpipeError as error:
            assert SHARDS.is_pending(out)
            assert "\n" not in str(error)
            assert str(error).endswith(f"; remove {out}/.build/commit.json and run `sketchpipe shards` again")
            refused += 1
            (out / ".build" / "commit.json").unlink()
            build(sources, out, **SETTINGS)
        assert files_of(out) == whole
        assert verify_folder(out) == []
        assert staging(out) == ["lock", "sources.json"]
    assert flipped >= {"spill", "journal.ndjson", REJECTS, "train"}


def test_rejects_that_were_altered_are_listed_anew(sources: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    calls = build_until(None, sources, tmp_path / "undisturbed")
    build_until(calls // 2, sources, out)
    flip(out / ".build" / "new" / REJECTS, 8 * 60)
    build(sources, out, **SETTINGS)
    assert files_of(out) == whole


def test_a_staged_shard_that_was_altered_is_written_anew(
    sources: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    calls, out = build_until(None, sources, tmp_path / "undisturbed"), tmp_path / "out"
    for count in range(calls, 0, -1):
        build_until(count, sources, out)
        journal = out / ".build" / "work" / "journal.ndjson"
        if not SHARDS.is_pending(out) and journal.exists() and journal.read_bytes().count(b'"shard"') > 1:
            break
        build(sources, out, **SETTINGS)
        (out / "manifest.json").unlink()
    shard = next((out / ".build" / "new").glob("train-*"))
    flip(shard, 8 * 200)
    build(sources, out, **SETTINGS)
    assert files_of(out) == whole


@pytest.mark.parametrize("name", ["commit.json", "new/manifest.json", "new/test-00002-of-00003.parquet"])
def test_a_commit_that_was_altered_before_it_is_finished_ends_in_one_line_and_the_remedy_works(
    sources: Path, whole: dict[str, bytes], tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    build(sources, out, classes=("class 1",))
    calls = build_until(None, sources, tmp_path / "undisturbed")
    for count in range(calls, 0, -1):
        build_until(count, sources, out)
        if SHARDS.is_pending(out) and (out / ".build" / name).exists():
            break
        build(sources, out, classes=("class 1",), force=True)
    for bit in (4, 8 * 40, 8 * (out / ".build" / name).stat().st_size - 5):
        flip(out / ".build" / name, bit)
        with pytest.raises(DamagedError, match=f"^{out}/.build/{name}: damaged; remove .*commit.json and run"):
            build(sources, out, **SETTINGS)
        flip(out / ".build" / name, bit)
    flip(out / ".build" / name, 40)
    (out / ".build" / "commit.json").unlink()
    build(sources, out, **SETTINGS)
    assert files_of(out) == whole
