"""Sources that change while a build reads them, and between two builds."""

import dataclasses
import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.shards.folder import build_folder, foresee_build
from pipeline.shards.manifest import Manifest
from pipeline.shards.options import BuildOptions, BuildSizes
from pipeline.shards.origin import read_origin
from pipeline.shards.proof import HASHING
from pipeline.sources.files import Source
from pipeline.sources.readers import read_parts
from tests.shards.builds import build, files_of, random_drawings, records, staging, write

pytestmark = pytest.mark.long

MIB = 1 << 20
SIZES = BuildSizes(chunk_bytes=MIB, segment_bytes=4000, segment_input_bytes=MIB)
OPTIONS = BuildOptions(num_shards=2, seed=5)


@pytest.fixture(scope="module")
def lines() -> bytes:
    """Lines of six MiB."""
    return random_drawings("cat", 300, 0)


def grow(folder: Path) -> None:
    with (folder / "cat.ndjson").open("ab") as file:
        file.write(records("cat", [1]))


def cut(folder: Path) -> None:
    os.truncate(folder / "cat.ndjson", 4 * MIB)


def empty(folder: Path) -> None:
    os.truncate(folder / "cat.ndjson", 0)


def remove(folder: Path) -> None:
    (folder / "cat.ndjson").unlink()


def remove_other(folder: Path) -> None:
    (folder / "dog.ndjson").unlink()


def replace(folder: Path) -> None:
    (folder / "other").write_bytes((folder / "cat.ndjson").read_bytes())
    (folder / "other").replace(folder / "cat.ndjson")


def overwrite(folder: Path) -> None:
    """The end of a line of the sixth chunk, which the reader does not keep ahead; the time is put back."""
    file = folder / "cat.ndjson"
    before = file.stat()
    with file.open("r+b") as opened:
        opened.seek(5 * MIB + 1000)
        opened.write(b"X" * 1000)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def remove_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def become_folder(folder: Path) -> None:
    (folder / "dog.ndjson").unlink()
    (folder / "dog.ndjson").mkdir()


def exchange_folder(folder: Path) -> None:
    """Another folder takes the place of this one for some time; its files were never written to."""
    folder.rename(folder.with_name("aside"))
    write(folder, cat=records("cat", range(9)), dog=records("dog", range(9)))


def change_attributes(folder: Path) -> None:
    (folder / "cat.ndjson").chmod(0o600)


CHANGES: dict[Callable[[Path], None], tuple[str, str]] = {
    grow: ("cat", r"it had 6[\d,]+ bytes and has 6[\d,]+;"),
    cut: ("cat", r"it had 6[\d,]+ bytes and has 4,194,304;"),
    empty: ("cat", r"it had 6[\d,]+ bytes and has 0;"),
    remove: ("cat", r"it cannot be found any more \(No such file or directory\);"),
    remove_other: ("dog", r"it cannot be found any more \(No such file or directory\);"),
    replace: ("cat", "another file was put in its place;"),
    overwrite: ("cat", "it was written to and its time was put back, or its attributes or links were changed;"),
    remove_folder: ("cat", r"it cannot be found any more \(No such file or directory\);"),
    become_folder: ("dog", "it is no longer a file;"),
    exchange_folder: ("cat", "another file was put in its place;"),
    change_attributes: ("cat", "it was written to and its time was put back, or its attributes or links were changed;"),
}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_source_that_changes_under_a_build_is_named_and_the_old_shards_stay(
    lines: bytes, tmp_path: Path, change: Callable[[Path], None], workers: int
) -> None:
    folder, out = write(tmp_path / "in", cat=lines, dog=records("dog", range(50))), tmp_path / "out"
    build([folder / "dog.ndjson"], out)
    before, changed = files_of(out), False

    def progress(_step: str, done: float, _total: float | None = None, /, *, unit: str = "", **_note: str) -> None:
        nonlocal changed
        if unit == "B" and done > 2 * MIB and not changed:
            changed = True
            change(folder)

    with pytest.raises(InputError) as error:
        build_folder([str(folder)], out, OPTIONS, sizes=SIZES, workers=workers, progress=progress)
    assert changed
    name, how = CHANGES[change]
    assert error.match(
        rf"^{folder}/{name}\.ndjson: was changed while it was being read: {how} what was built before is unchanged;"
    )
    assert files_of(out) == before
    assert staging(out) == ["lock", "sources.json"]


@pytest.mark.parametrize("change", [cut, remove_other, overwrite], ids=lambda change: change.__name__)
def test_a_source_that_changes_while_shards_are_written_is_found_before_the_commit(
    lines: bytes, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    folder, out = write(tmp_path / "in", cat=lines, dog=records("dog", range(50))), tmp_path / "out"
    build([folder / "dog.ndjson"], out)
    before, changed = files_of(out), False

    def progress(_step: str, done: float, _total: float | None = None, /, *, unit: str = "", **_note: str) -> None:
        nonlocal changed
        if unit == "drawings" and done and not changed:
            changed = True
            change(folder)

    with pytest.raises(InputError, match="was changed while it was being read"):
        build_folder([str(folder)], out, OPTIONS, sizes=SIZES, progress=progress)
    assert files_of(out) == before


def test_a_source_that_is_cut_under_a_strict_build_is_called_changed_and_no_reject_is_blamed(
    lines: bytes, tmp_path: Path
) -> None:
    folder, out = write(tmp_path / "in", cat=lines), tmp_path / "out"

    def progress(_step: str, done: float, _total: float | None = None, /, *, unit: str = "", **_note: str) -> None:
        if unit == "B" and done > 2 * MIB:
            cut(folder)

    with pytest.raises(InputError, match="was changed while it was being read: it had"):
        build_folder([str(folder)], out, OPTIONS, sizes=SIZES, strict=True, progress=progress)


@pytest.mark.parametrize("keep_going", [False, True])
@pytest.mark.parametrize("change", [cut, remove_other], ids=lambda change: change.__name__)
def test_a_change_is_told_before_damage_of_a_compressed_source(
    lines: bytes, tmp_path: Path, change: Callable[[Path], None], keep_going: bool
) -> None:
    damaged = gzip.compress(lines, 0)[:-1]
    folder, out = write(tmp_path / "in", cat=damaged, dog=records("dog", range(50))), tmp_path / "out"

    def progress(_step: str, done: float, _total: float | None = None, /, *, unit: str = "", **_note: str) -> None:
        if unit == "B" and done > 2 * MIB and (folder / "dog.ndjson").exists():
            change(folder)

    name, _ = CHANGES[change]
    with pytest.raises(InputError, match=rf"/{name}\.ndjson: was changed while it was being read"):
        build_folder([str(folder)], out, OPTIONS, sizes=SIZES, keep_going=keep_going, progress=progress)


@pytest.mark.parametrize("is_compressed", [False, True])
@pytest.mark.parametrize("change", [cut, overwrite], ids=lambda change: change.__name__)
def test_a_source_that_changes_under_another_reader_is_an_error(
    lines: bytes, tmp_path: Path, change: Callable[[Path], None], is_compressed: bool
) -> None:
    folder = write(tmp_path / "in", cat=gzip.compress(lines, 0) if is_compressed else lines)
    parts = read_parts(Source(folder / "cat.ndjson", "cat.ndjson", "cat"))
    next(parts)
    change(folder)
    with pytest.raises(InputError, match="was changed while it was being read"):
        list(parts)


def test_a_file_that_is_added_under_a_build_is_read_by_the_next(lines: bytes, tmp_path: Path) -> None:
    folder, out = write(tmp_path / "in", cat=lines), tmp_path / "out"

    def progress(_step: str, done: float, _total: float | None = None, /, *, unit: str = "", **_note: str) -> None:
        if unit == "B" and done > 2 * MIB:
            write(folder, horse=records("horse", range(50)))

    first, _ = build_folder([str(folder)], out, OPTIONS, sizes=SIZES, progress=progress)
    second, is_built = build_folder([str(folder)], out, OPTIONS)
    assert (first.classes, second.classes, is_built) == (("cat",), ("cat", "horse"), True)


class Rebuilt:
    """What the next build of the same sources did: whether it built, and whether it hashed a source."""

    def __init__(self, inputs: Path, out: Path, **options: int) -> None:
        self.steps: list[str] = []
        self.manifest, self.is_built = build_folder(
            [str(inputs)], out, BuildOptions(**options), workers=2, progress=self._progress
        )
        self.has_hashed = HASHING in self.steps

    def _progress(self, step: str, _done: float, _total: float | None = None, /, **_how: str) -> None:
        self.steps.append(step)


def touch(file: Path) -> None:
    os.utime(file, ns=(1, 1))


def copy(file: Path) -> None:
    status = file.stat()
    shutil.copy(file, file.with_name("copy"))
    file.with_name("copy").replace(file)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("change", [touch, copy, lambda file: file.chmod(0o600)], ids=["touch", "copy", "chmod"])
def test_sources_of_the_same_content_are_hashed_once_and_not_built_again(
    tmp_path: Path, change: Callable[[Path], None], ending: str
) -> None:
    folder, out = write(tmp_path / "in", dog=records("dog", range(50))), tmp_path / "out"
    file, text = folder / f"cat.ndjson{ending}", random_drawings("cat", 130, 0) + b"bad\n"
    file.write_bytes(gzip.compress(text) if ending else text)
    build(folder, out)
    before = files_of(out)
    change(file)
    assert isinstance(foresee_build([str(folder)], out, BuildOptions()), Manifest)
    first, second = Rebuilt(folder, out), Rebuilt(folder, out)  # the first shows that the dry run has written nothing
    assert (first.is_built, first.has_hashed, second.is_built, second.has_hashed) == (False, True, False, False)
    assert files_of(out) == before
    assert staging(out) == ["lock", "sources.json"]


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_other_content_of_the_same_size_and_time_is_built(tmp_path: Path, ending: str) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    file = folder / f"cat.ndjson{ending}"
    texts = [records("cat", range(keys, keys + 50)) for keys in (100, 200)]
    texts = [gzip.compress(text, 0, mtime=0) if ending else text for text in texts]
    assert len(texts[0]) == len(texts[1])
    file.write_bytes(texts[0])
    build(folder, out)
    status = file.stat()
    file.write_bytes(texts[1])
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not isinstance(foresee_build([str(folder)], out, BuildOptions()), Manifest)
    assert Rebuilt(folder, out).is_built
    build(folder, tmp_path / "whole")
    assert files_of(out) == files_of(tmp_path / "whole")


def test_only_what_is_read_of_a_source_matters_if_a_limit_ends_its_reading(tmp_path: Path) -> None:
    cat, out = random_drawings("cat", 130, 0), tmp_path / "out"  # of more than two blocks, of which one is read
    folder = write(tmp_path / "in", cat=cat, dog=records("dog", range(5)))
    build(folder, out, drawings_per_class=20)
    write(folder, cat=cat + records("cat", range(5)))
    same = Rebuilt(folder, out, drawings_per_class=20)
    assert (same.is_built, same.has_hashed) == (False, True)
    write(folder, dog=records("dog", range(6)))  # was read to its end
    assert Rebuilt(folder, out, drawings_per_class=20).is_built
    write(folder, cat=records("cat", [1]) + cat)
    assert Rebuilt(folder, out, drawings_per_class=20).is_built


def test_the_record_of_an_older_version_is_read_and_its_sources_hashed_once(tmp_path: Path) -> None:
    folder, out = write(tmp_path / "in", cat=records("cat", range(90))), tmp_path / "out"
    build(folder, out)
    make_old_record(out)
    first, second = Rebuilt(folder, out), Rebuilt(folder, out)
    assert (first.is_built, first.has_hashed, second.is_built, second.has_hashed) == (False, True, False, False)
    recorded = read_origin(out)
    assert recorded is not None
    assert recorded.manifest == first.manifest


def make_old_record(out: Path) -> None:
    """Rewrite the record as versions did that knew only sizes and times."""
    path = out / ".build" / "sources.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({"options": fields["options"], "sources": [one[:4] for one in fields["sources"]]}))


@pytest.mark.parametrize("year_3000", [32_503_680_000 * 10**9, -32_503_680_000 * 10**9])
def test_a_record_holds_times_that_need_more_than_64_bits(tmp_path: Path, year_3000: int) -> None:
    folder, out = write(tmp_path / "in", cat=records("cat", range(90))), tmp_path / "out"
    build(folder, out)
    recorded = read_origin(out)
    assert recorded is not None
    stamp = dataclasses.replace(recorded.sources[0], mtime_ns=year_3000)
    far = dataclasses.replace(recorded, sources=[stamp])
    (out / ".build" / "sources.json").write_text(far.dump())
    assert read_origin(out) == far


@pytest.mark.parametrize("bit", range(0, 8 * 900, 1201))
def test_a_damaged_record_is_none(tmp_path: Path, bit: int) -> None:
    folder, out = write(tmp_path / "in", cat=records("cat", range(90))), tmp_path / "out"
    build(folder, out)
    path = out / ".build" / "sources.json"
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    assert read_origin(out) is None
    assert Rebuilt(folder, out).is_built


class DiedError(BaseException):
    """The process dies here."""


def test_a_build_is_not_resumed_with_a_source_whose_time_was_put_back(lines: bytes, tmp_path: Path) -> None:
    folder, out = write(tmp_path / "in", cat=lines), tmp_path / "out"

    def progress(_step: str, done: float, _total: float | None = None, /, *, unit: str = "", **_note: str) -> None:
        if unit == "B" and done > 4 * MIB:
            raise DiedError

    with pytest.raises(DiedError):
        build_folder([str(folder)], out, OPTIONS, sizes=SIZES, progress=progress)
    assert "work" in staging(out)
    status = (folder / "cat.ndjson").stat()
    other = random_drawings("cat", 300, 1)[: len(lines)]
    (folder / "cat.ndjson").write_bytes(other.ljust(len(lines), b"\n"))
    os.utime(folder / "cat.ndjson", ns=(status.st_atime_ns, status.st_mtime_ns))
    build_folder([str(folder)], out, OPTIONS)
    build_folder([str(folder)], tmp_path / "whole", OPTIONS)
    assert files_of(out) == files_of(tmp_path / "whole")
