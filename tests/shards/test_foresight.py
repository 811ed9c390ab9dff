"""What a dry run refuses, and what is told of sources and splits once shards are built."""

import fcntl
import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import DamagedError, InputError, LockedError, SketchpipeError
from pipeline.shards.estimate import Estimate
from pipeline.shards.folder import foresee_build
from pipeline.shards.manifest import Manifest
from pipeline.shards.options import BuildOptions
from pipeline.shards.remarks import remarks, unread_sources
from pipeline.shards.repair import repair_folder
from pipeline.shards.verify import verify_folder
from tests.shards.builds import build, files_of, record, records, write

LONG = records("cat", range(3000))  # more than a dry run reads of a file


def foresee(
    inputs: Path, to: Path, *, strict: bool = False, force: bool = False, **options: Any
) -> Estimate | Manifest:
    return foresee_build([str(inputs)], to, BuildOptions(**options), strict=strict, force=force)


def no_drawing(folder: Path) -> None:
    write(folder, cat=records("cat", range(3)), dog=b'{"word": "dog"}\n')


def mostly_rejects(folder: Path) -> None:
    write(folder, cat=b"{}\n{}\n" + record("cat", 1))


def mostly_rejects_of_a_long_file(folder: Path) -> None:
    write(folder, cat=b"bad\n" * 100_000 + LONG)


def blank(folder: Path) -> None:
    write(folder, cat=b"\n\n", dog=b"")


def csv_only(folder: Path) -> None:
    folder.mkdir()
    (folder / "cat.csv").touch()


def cut_gzip(folder: Path) -> None:
    folder.mkdir()
    (folder / "cat.ndjson.gz").write_bytes(gzip.compress(b"")[:12])


def cats(folder: Path) -> None:
    write(folder, cat=records("cat", range(9)))


def many_cats(folder: Path) -> None:
    write(folder, cat=LONG)


def one_reject(folder: Path) -> None:
    write(folder, cat=LONG, dog=records("dog", range(5)) + b"bad\n")


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (no_drawing, {}),
        (mostly_rejects, {}),
        (mostly_rejects_of_a_long_file, {}),
        (blank, {}),
        (csv_only, {}),
        (cut_gzip, {}),
        (cats, {"classes": ("cat", "dog")}),
        (many_cats, {"classes": ("cat", "dog")}),
        (cats, {"recognized_only": True}),
        (cats, {"skip_per_class": 9}),
        (one_reject, {"strict": True}),
    ],
)
def test_a_dry_run_is_refused_as_the_build_is(
    tmp_path: Path, make: Callable[[Path], None], options: dict[str, Any]
) -> None:
    make(tmp_path / "in")
    with pytest.raises((InputError, DamagedError)) as built:
        build(tmp_path / "in", tmp_path / "out", **options)
    with pytest.raises(built.type) as foreseen:
        foresee(tmp_path / "in", tmp_path / "out", **options)
    assert str(foreseen.value) == str(built.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["file", "file/below", "foreign", "/proc/nothing"])
def test_a_dry_run_is_refused_a_target_as_the_build_is(tmp_path: Path, target: str) -> None:
    cats(tmp_path / "in")
    write(tmp_path / "foreign", mine=b"")
    (tmp_path / "file").touch()
    codes = []
    for attempt in (build, foresee):
        with pytest.raises(SketchpipeError, match=f"{target}: (is a file|cannot be written|holds mine)") as error:
            attempt(tmp_path / "in", tmp_path / target)
        codes.append(error.value.exit_code)
    assert codes == [6, 6]


def test_a_dry_run_is_refused_a_folder_that_is_being_written(tmp_path: Path) -> None:
    cats(tmp_path / "in")
    (tmp_path / "out" / ".build").mkdir(parents=True)
    with (tmp_path / "out" / ".build" / "lock").open("w+") as lock:
        lock.write(str(os.getpid()))
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LockedError, match=f"process {os.getpid()} is writing it"):
            foresee(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize(
    "text",
    [
        b"bad\n" * 60_000 + LONG * 30,  # only its beginning is bad
        LONG + b"bad\n" * 100,
        records("cat", range(2)) + b"bad\n" * 2,
        b"\n" * 200_000 + LONG,
    ],
)
def test_what_can_be_built_is_not_refused(tmp_path: Path, text: bytes) -> None:
    write(tmp_path / "in", cat=text)
    assert isinstance(foresee(tmp_path / "in", tmp_path / "out"), Estimate)


def test_a_dry_run_of_what_is_built_returns_its_manifest(tmp_path: Path) -> None:
    cats(tmp_path / "in")
    manifest = build(tmp_path / "in", tmp_path / "out")
    before = files_of(tmp_path / "out")
    assert foresee(tmp_path / "in", tmp_path / "out") == manifest
    assert isinstance(foresee(tmp_path / "in", tmp_path / "out", force=True), Estimate)
    (tmp_path / "in").rename(tmp_path / "gone")
    assert foresee(tmp_path / "in", tmp_path / "out") == manifest
    assert files_of(tmp_path / "out") == before


def test_a_source_read_to_a_limit_is_not_judged_by_its_rejects(tmp_path: Path) -> None:
    write(tmp_path / "in", cat=b"bad\n" * 3 + LONG)
    assert build(tmp_path / "in", tmp_path / "out", drawings_per_class=1).rejects == {"not-an-object": 3}
    assert isinstance(foresee(tmp_path / "in", tmp_path / "other", drawings_per_class=1), Estimate)


def test_a_source_after_a_long_one_is_not_judged_by_lines_that_a_limit_leaves_unread(tmp_path: Path) -> None:
    folder = write(tmp_path / "in" / "a", cat=LONG).parent
    write(folder / "b", cat=record("cat", 9_000) + b"bad\n" * 5)
    build(folder, tmp_path / "out", drawings_per_class=2_500, strict=True)
    for strict in (False, True):
        foreseen = foresee(folder, tmp_path / "other", drawings_per_class=2_500, strict=strict)
        assert isinstance(foreseen, Estimate)
        with pytest.raises(InputError):
            foresee(folder, tmp_path / "other", strict=strict)


def test_a_build_that_fails_leaves_neither_manifest_nor_rejects(tmp_path: Path) -> None:
    cats(tmp_path / "in")
    build(tmp_path / "in", tmp_path / "out")
    before = files_of(tmp_path / "out")
    write(tmp_path / "in", cat=b"{}\n{}\n" + record("cat", 1))
    with pytest.raises(InputError, match=r"2 of its 3 lines are rejected, more than half; is it .*cat.ndjson:1: "):
        build(tmp_path / "in", tmp_path / "out")
    assert files_of(tmp_path / "out") == before


def test_a_source_without_a_line_is_passed_over_and_told(tmp_path: Path) -> None:
    write(tmp_path / "in", cat=records("cat", range(300)), empty=b"", void=b"\n")
    manifest = build(tmp_path / "in", tmp_path / "out")
    assert remarks(manifest) == ["passed over, because without a line: in/empty.ndjson and 1 more"]
    assert verify_folder(tmp_path / "out", deep=True) == []
    before = files_of(tmp_path / "out")
    next((tmp_path / "out").glob("train-*")).unlink()
    assert len(repair_folder(tmp_path / "out")) == 1
    assert files_of(tmp_path / "out") == before


def test_an_empty_split_is_told_with_its_reason(tmp_path: Path) -> None:
    alike = b"".join(record("cat", 7, [[[k, 9], [0, 9]]]) for k in range(40))
    (told,) = remarks(build(write(tmp_path / "one", cat=alike), tmp_path / "a"))
    assert ": all 40 drawings share one key_id, and drawings of one key_id are in one split; give each drawing" in told
    (told,) = remarks(build(write(tmp_path / "few", cat=records("cat", range(2))), tmp_path / "b"))
    assert ": each drawing's split follows from its key_id, and none of only 2 drawings came into it; build" in told
    assert remarks(build(tmp_path / "few", tmp_path / "c", splits="1,0,0")) == []


def test_files_of_other_classes_are_not_counted_as_drawings_left_out(tmp_path: Path) -> None:
    write(tmp_path / "in", cat=records("cat", range(9)), dog=records("dog", range(9)), mine=records("cow", range(9)))
    manifest = build(tmp_path / "in", tmp_path / "out", classes=("cat",))
    assert unread_sources(manifest) == ["in/dog.ndjson"]
    assert sum(source.filtered for source in manifest.sources) == 1 + 9
    write(tmp_path / "in", cat2=records("cat", range(9)))
    (tmp_path / "in" / "cat2.ndjson").rename(tmp_path / "in" / "cat (2).ndjson")
    manifest = build(tmp_path / "in", tmp_path / "few", classes=("cat",), drawings_per_class=5)
    assert unread_sources(manifest) == ["in/cat.ndjson", "in/dog.ndjson"]
