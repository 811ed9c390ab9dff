"""Repair proves what it builds from: nothing that is undamaged is replaced by something else."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError, LockedError, ShardError, SketchpipeError
from pipeline.shards.folder import build_folder
from pipeline.shards.manifest import MANIFEST, REJECTS, Manifest, read_manifest
from pipeline.shards.options import BuildOptions
from pipeline.shards.repair import repair_folder
from pipeline.shards.verify import Damage, damaged_files, verify_folder
from tests.shards.builds import build, files_of, records, staging, write
from tests.shards.test_changing_sources import make_old_record

SKETCHPIPE = Path(sys.executable).with_name("sketchpipe")
SHARD = "train-00000-of-00002.parquet"
CAT, DOG = records("cat", range(300)) + b"bad\n", records("dog", range(300, 500))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Shards of `in/cat.ndjson` and `in/dog.ndjson`."""
    build(write(tmp_path / "in", cat=CAT, dog=DOG), tmp_path / "out", num_shards=2)
    return tmp_path / "out"


@pytest.fixture
def whole(out: Path) -> dict[str, bytes]:
    """The files of `out`."""
    return files_of(out)


def flip(path: Path) -> None:
    """Change one byte of a file."""
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


def refused(out: Path, error: type[SketchpipeError], match: str, *inputs: Path) -> None:
    """Repair is refused for this reason and changes nothing."""
    before = files_of(out)
    with pytest.raises(error, match=match):
        repair_folder(out, [str(path) for path in inputs])
    assert files_of(out) == before
    assert staging(out) in (["lock"], ["lock", "sources.json"])


@pytest.mark.parametrize("damage", [flip, Path.unlink], ids=["flipped", "missing"])
def test_a_damaged_manifest_is_restored_without_a_source(
    out: Path, whole: dict[str, bytes], damage: Callable[[Path], None]
) -> None:
    damage(out / MANIFEST)
    write(out.parent / "in", cat=records("cat", range(60)))
    (out.parent / "in" / "dog.ndjson").unlink()
    with pytest.raises(ShardError, match=f"with `sketchpipe repair {out}`"):
        read_manifest(out)
    times = {name: (out / name).stat().st_mtime_ns for name in whole if name != MANIFEST}
    told: list[str] = []
    assert [found.name for found in repair_folder(out, tell=told.append)] == [MANIFEST]
    assert files_of(out) == whole
    assert {name: (out / name).stat().st_mtime_ns for name in times} == times
    assert told == [f"{out}: proved by hash: 4 intact shards; rebuilt: manifest.json"]
    assert staging(out) == ["lock", "sources.json"]
    assert build(out.parent / "in", out, num_shards=2).classes == ("cat",)  # a build takes what is there


def test_what_a_repair_left_that_was_killed_at_its_end_is_removed(out: Path, whole: dict[str, bytes]) -> None:
    (out / ".build" / "new").mkdir()
    (out / ".build" / "work").mkdir()
    (out / ".build" / "work" / "spill").write_bytes(b"rows")
    assert repair_folder(out) == []
    assert staging(out) == ["lock", "sources.json"]
    assert files_of(out) == whole


def test_a_repair_of_whole_shards_keeps_the_work_of_an_interrupted_build(out: Path, whole: dict[str, bytes]) -> None:
    def interrupt(_step: str, _done: float, _total: float | None = None, /, *, unit: str = "", **_note: str) -> None:
        if unit == "drawings":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_folder([str(out.parent / "in")], out, BuildOptions(num_shards=3), progress=interrupt)
    before = {path.name for path in (out / ".build").rglob("*")}
    assert {"new", "work", "journal.ndjson", "spill"} <= before
    assert repair_folder(out) == []
    assert {path.name for path in (out / ".build").rglob("*")} == before
    assert files_of(out) == whole
    build(out.parent / "in", out, num_shards=3)
    assert staging(out) == ["lock", "sources.json"]


def test_a_damaged_manifest_and_a_changed_source_leave_a_damaged_shard_as_it_is(out: Path) -> None:
    flip(out / MANIFEST)
    flip(out / SHARD)
    write(out.parent / "in", cat=records("cat", range(60)))
    refused(out, InputError, r"in/cat\.ndjson: has changed since the shards were built; nothing was changed; say where")


@pytest.mark.parametrize("lost", [SHARD, REJECTS, "test-00000-of-00001.parquet"])
def test_a_damaged_manifest_and_a_lost_file_are_made_anew_from_proved_sources(
    out: Path, whole: dict[str, bytes], lost: str
) -> None:
    flip(out / MANIFEST)
    (out / lost).unlink()
    told: list[str] = []
    repair_folder(out, tell=told.append)
    assert files_of(out) == whole
    intact = 4 if lost == REJECTS else 3
    assert told == [f"{out}: proved by hash: {intact} intact shards and 2 sources; rebuilt: manifest.json, {lost}"]


def test_sources_that_were_touched_are_proved_by_their_content(out: Path, whole: dict[str, bytes]) -> None:
    flip(out / SHARD)
    os.utime(out.parent / "in" / "cat.ndjson", ns=(1, 1))
    repair_folder(out)
    assert files_of(out) == whole


@pytest.mark.parametrize("damaged", [(SHARD,), (REJECTS,), (MANIFEST, SHARD)], ids=" ".join)
def test_other_drawings_under_the_same_names_are_refused(
    out: Path, whole: dict[str, bytes], damaged: tuple[str, ...]
) -> None:
    for name in damaged:
        flip(out / name)
    (out.parent / "in").rename(out.parent / "true")
    wrong = write(out.parent / "wrong" / "in", cat=CAT.replace(b"7", b"8"), dog=DOG)
    refused(out, InputError, r"wrong/in/cat\.ndjson: has changed since the shards were built", wrong)
    more = write(out.parent / "more" / "in", cat=CAT + records("cat", [999]), dog=DOG)
    refused(out, InputError, r"more/in/cat\.ndjson: has changed since the shards were built", more)
    repair_folder(out, [str(out.parent / "true" / "dog.ndjson"), str(wrong), str(out.parent / "true" / "cat.ndjson")])
    assert files_of(out) == whole


def test_sources_that_have_moved_are_recognized_by_names_that_are_not_utf_8(tmp_path: Path) -> None:
    out, name = tmp_path / "out", os.fsdecode(b"caf\xe9.ndjson")
    (write(tmp_path / "in", cat=CAT) / name).write_bytes(DOG)
    build(tmp_path / "in", out)
    whole = files_of(out)
    (tmp_path / "moved").mkdir()
    (tmp_path / "in").rename(tmp_path / "moved" / "in")
    flip(out / REJECTS)
    repair_folder(out, [str(tmp_path / "moved")])
    assert files_of(out) == whole


def test_a_manifest_without_a_record_is_refused_with_the_remedy(out: Path) -> None:
    flip(out / MANIFEST)
    flip(out / ".build" / "sources.json")
    refused(out, ShardError, f"no record of its sources; build it anew: sketchpipe shards SOURCE... --to {out}")
    shutil.rmtree(out / ".build")
    refused(out, ShardError, "no record of its sources", out.parent / "in")


def test_shards_of_another_build_beside_a_damaged_manifest_are_not_replaced(out: Path, whole: dict[str, bytes]) -> None:
    build(write(out.parent / "other" / "in", cat=records("cat", range(7, 400))), out.parent / "b", num_shards=2)
    for name, content in files_of(out.parent / "b").items():
        (out / name).write_bytes(content)
    flip(out / MANIFEST)
    refused(out, ShardError, r"test-00000-of-00001\.parquet: is undamaged, but is not the shard that was built here")
    for path in out.glob("*.parquet"):
        path.unlink()
    repair_folder(out)
    assert files_of(out) == whole


def test_an_old_record_without_hashes_is_enough_if_the_sources_are_as_they_were(
    out: Path, whole: dict[str, bytes]
) -> None:
    make_old_record(out)
    flip(out / MANIFEST)
    (out / SHARD).unlink()
    flip(out / "test-00000-of-00001.parquet")
    told: list[str] = []
    repair_folder(out, tell=told.append)
    assert files_of(out) == whole
    assert told == [
        f"{out}: proved: 2 intact shards by hash, 2 sources by size and time; "
        "rebuilt: manifest.json and what was damaged"
    ]
    flip(out / MANIFEST)  # what was built has a record with hashes
    (out.parent / "in" / "cat.ndjson").unlink()
    repair_folder(out)
    assert files_of(out) == whole


def test_an_old_record_and_changed_sources_leave_everything_as_it_is(out: Path) -> None:
    make_old_record(out)
    flip(out / MANIFEST)
    source = out.parent / "in" / "cat.ndjson"
    status = source.stat()
    source.write_bytes(CAT.replace(b"7", b"8"))
    refused(out, InputError, "has another size or time than when the shards were built, and no hash of it is known")
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    refused(out, ShardError, "is undamaged, but these sources now make another shard; nothing was changed")
    (out.parent / "in").rename(out.parent / "moved")
    refused(out, InputError, r"in/cat\.ndjson: this source is gone")
    wrong = write(out.parent / "wrong" / "in", cat=CAT[:-99], dog=DOG)
    refused(out, InputError, r"wrong/in/cat\.ndjson: has another size or time", wrong)


class DiedError(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("unit_of_death", ["B", "drawings"])
def test_a_repair_that_died_is_not_resumed_with_other_drawings(
    out: Path, whole: dict[str, bytes], unit_of_death: str
) -> None:
    for name in whole:
        if name.startswith("train"):
            flip(out / name)
    flip(out / MANIFEST)

    def progress(_step: str, done: float, _total: float | None = None, /, *, unit: str = "", **_note: str) -> None:
        if unit == unit_of_death and done:
            raise DiedError

    before = files_of(out)
    with pytest.raises(DiedError):
        repair_folder(out, progress=progress)
    assert files_of(out) == before
    source = out.parent / "in" / "cat.ndjson"
    status = source.stat()
    source.write_bytes(CAT.replace(b"7", b"8"))
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    if unit_of_death == "B":
        refused(out, InputError, "has changed since the shards were built")
        source.write_bytes(CAT)
    repair_folder(out)  # what the first repair had read and proved is not read again
    assert files_of(out) == whole
    assert verify_folder(out, deep=True) == []


def test_no_build_may_replace_the_shards_that_a_repair_has_looked_at(
    out: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked_at(folder: Path, manifest: Manifest) -> list[Damage]:
        found = damaged_files(folder, manifest)
        with pytest.raises(LockedError):
            build(out.parent / "in" / "dog.ndjson", out)
        return found

    monkeypatch.setattr("pipeline.shards.repair.damaged_files", looked_at)
    flip(out / SHARD)
    repair_folder(out)
    assert files_of(out) == whole


@pytest.mark.long
def test_a_repair_killed_at_any_moment_leaves_each_file_as_it_was_or_as_it_was_built(
    out: Path, whole: dict[str, bytes]
) -> None:
    flip(out / MANIFEST)
    flip(out / REJECTS)
    (out / SHARD).unlink()
    damaged, command = files_of(out), [str(SKETCHPIPE), "repair", str(out)]
    start = time.monotonic()
    subprocess.run(command, capture_output=True, check=True)
    seconds = time.monotonic() - start
    for delay in np.random.default_rng(0).uniform(seconds / 3, seconds * 1.1, 6):
        for name in (MANIFEST, REJECTS):
            (out / name).write_bytes(damaged[name])
        (out / SHARD).unlink()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(delay)
            process.kill()
        assert all(content in (whole[name], damaged.get(name)) for name, content in files_of(out).items())
        repair_folder(out)
        assert files_of(out) == whole
        assert staging(out) == ["lock", "sources.json"]


def test_the_command_says_in_one_line_what_was_proved(out: Path, whole: dict[str, bytes]) -> None:
    def repair() -> tuple[int, str, str]:
        run = subprocess.run([str(SKETCHPIPE), "repair", str(out)], capture_output=True, text=True, check=False)
        return run.returncode, run.stdout, run.stderr

    flip(out / MANIFEST)
    (out / SHARD).unlink()
    code, listed, said = repair()
    assert (code, listed) == (
        0,
        f"{MANIFEST}: its text does not match its checksum; rebuilt\n{SHARD}: missing; rebuilt\n",
    )
    assert said == f"{out}: proved by hash: 3 intact shards and 2 sources; rebuilt: {MANIFEST}, {SHARD}\n"
    assert files_of(out) == whole
    flip(out / SHARD)
    write(out.parent / "in", cat=records("cat", range(60)))
    code, listed, said = repair()
    assert (code, listed, said.count("\n")) == (3, "", 1)
    fields = json.loads((out / ".build" / "sources.json").read_text())
    assert fields["manifest"] == (out / MANIFEST).read_text()
