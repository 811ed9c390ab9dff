"""Proof and repair: no flipped bit anywhere in a folder passes, and what is mended is what was built."""

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError, MismatchError, OutputError, ShardError
from pipeline.shards.manifest import MANIFEST, file_hash, footer_hash, read_manifest
from pipeline.shards.read import open_split
from pipeline.shards.repair import repair_folder
from pipeline.shards.schema import SCHEMA, WRITER_OPTIONS
from pipeline.shards.shuffle import SPLITS
from pipeline.shards.verify import verify_folder
from tests.shards.builds import build, files_of, records, staging, write

pytestmark = pytest.mark.long

SKETCHPIPE = Path(sys.executable).with_name("sketchpipe")
FLIPS = 400


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    cats = records("cat", range(400), countrycode="FI") + b"bad\n"
    write(folder / "in", cat=cats, dog=records("dog", range(400, 700)) + b'{"word":1}\n')
    build(folder / "in", folder / "shards", num_shards=2)
    return folder / "shards"


@pytest.fixture
def copy(shards: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shards, tmp_path / "shards"))


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def load_everything(folder: Path) -> list[bytes]:
    """Every row of every split as the loader reads it."""
    found = []
    for split in SPLITS:
        opened = open_split(folder, split)
        for group in range(len(opened.row_groups)):
            packed = opened.read_packed(group)
            found += [getattr(packed, field.name).tobytes() for field in fields(packed)]
    return found


def test_a_whole_folder_is_proved_deeply_too(shards: Path) -> None:
    told: list[tuple[float, float | None]] = []

    def progress(_step: str, done: float, total: float | None = None, /, **_: str) -> None:
        told.append((done, total))

    assert verify_folder(shards, deep=True, progress=progress) == []
    size = sum(file.bytes for file in read_manifest(shards).files)
    assert told[-1] == (size, size)
    assert len(told) == len(read_manifest(shards).files)


def test_one_flipped_bit_is_found_by_verify_and_changes_nothing_that_is_loaded(shards: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(shards, tmp_path / "shards"))
    random = np.random.default_rng(0)
    names, expected, refused = sorted(files_of(shards)), load_everything(shards), 0
    sizes = np.array([(shards / name).stat().st_size for name in names])
    for trial in range(FLIPS):
        # Half of them anywhere; the other half file by file, or the small ones would hardly be hit.
        name = names[random.choice(len(names), p=sizes / sizes.sum()) if trial % 2 else trial // 2 % len(names)]
        flip(copy / name, int(random.integers(8 * (copy / name).stat().st_size)))
        try:
            found = verify_folder(copy)
        except MismatchError:  # the flip made the format or its version another
            assert name == MANIFEST
        else:
            assert [damage.name for damage in found] == [name]
        try:
            loaded = load_everything(copy)
        except (ShardError, MismatchError):
            refused += 1
        else:  # nobody loads rejects, nor all columns
            assert name != MANIFEST
            assert loaded == expected
        shutil.copyfile(shards / name, copy / name)
    assert refused > FLIPS / 2
    assert verify_folder(copy) == []


def test_what_is_missing_or_cut_is_named(copy: Path) -> None:
    (copy / "rejects.ndjson").unlink()
    shard = copy / "train-00001-of-00002.parquet"
    os.truncate(shard, 100)
    (copy / "test-00000-of-00001.parquet").unlink()
    assert [str(damage).partition(",")[0] for damage in verify_folder(copy)] == [
        "train-00001-of-00002.parquet: 100 bytes",
        "test-00000-of-00001.parquet: missing",
        "rejects.ndjson: missing",
    ]


def test_a_list_of_rejects_without_an_end_is_not_read(copy: Path) -> None:
    os.truncate(copy / "rejects.ndjson", 1 << 40)
    assert [str(damage) for damage in verify_folder(copy)] == ["rejects.ndjson: larger than its lines can be"]


def forge(folder: Path, name: str, *tables: pa.Table) -> None:
    """Put other row groups in a shard's place, with a manifest that says they belong there."""
    path = folder / name
    with pq.ParquetWriter(path, SCHEMA, **WRITER_OPTIONS) as writer:
        for table in tables:
            writer.write_table(table)
    manifest = read_manifest(folder)
    with path.open("rb") as file:
        footer, length = footer_hash(file)
    rows = sum(table.num_rows for table in tables)
    sizes = {"rows": rows, "bytes": path.stat().st_size, "footer_bytes": length}
    hashes = {"sha256": file_hash(path), "footer_sha256": footer}
    files = [replace(file, **sizes, **hashes) if file.name == name else file for file in manifest.files]
    # The sums agree, as the manifest must; which class has how many rows does not.
    split = name.partition("-")[0]
    more = rows - next(file.rows for file in manifest.files if file.name == name)
    counted = list(manifest.counts[split])
    counted[0] += more - bool(more)
    counted[-1] += bool(more)
    counts = {**manifest.counts, split: tuple(counted)}
    source = manifest.sources[0]
    grown = replace(source, read=source.read + more, written=source.written + more)
    forged = replace(manifest, files=tuple(files), counts=counts, sources=(grown, *manifest.sources[1:]))
    (folder / MANIFEST).write_text(forged.dump())


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("order", "rows are not in order"),
        ("shard", "a row belongs to another shard"),
        ("split", "a row belongs to another split"),
        ("twice", "a drawing is there twice"),
        ("label", "words and labels differ"),
        ("count", "its counts for the train split do not match the shards"),
    ],
)
def test_deep_finds_rows_that_do_not_lie_where_they_belong(copy: Path, fault: str, what: str) -> None:
    first, second = "train-00000-of-00002.parquet", "train-00001-of-00002.parquet"
    table = pq.read_table(copy / first)
    if fault == "order":
        table = table.take([1, 0, *range(2, table.num_rows)])
    elif fault == "shard":
        table = pq.read_table(copy / second)
    elif fault == "split":
        table = pq.read_table(copy / "test-00000-of-00001.parquet")
    elif fault == "twice":
        table = table.take([0, *range(table.num_rows)])
    elif fault == "label":
        table = table.set_column(2, SCHEMA.field("label"), pa.array([0] * table.num_rows, pa.uint16()))
    else:
        table = table.slice(1)
    forge(copy, first, table)
    assert verify_folder(copy) == []
    assert [damage.what for damage in verify_folder(copy, deep=True)] == [what]


def test_damaged_shards_and_rejects_are_mended_to_the_same_bytes(shards: Path, copy: Path) -> None:
    flip(copy / "train-00001-of-00002.parquet", 4321)
    (copy / "validation-00000-of-00001.parquet").unlink()
    flip(copy / "rejects.ndjson", 5)
    untouched = (copy / "train-00000-of-00002.parquet").stat().st_mtime_ns
    repaired = repair_folder(copy, workers=2)
    assert sorted(damage.name for damage in repaired) == [
        "rejects.ndjson",
        "train-00001-of-00002.parquet",
        "validation-00000-of-00001.parquet",
    ]
    assert files_of(copy) == files_of(shards)
    assert (copy / "train-00000-of-00002.parquet").stat().st_mtime_ns == untouched
    assert staging(copy) == ["lock", "sources.json"]
    assert repair_folder(copy) == []


def test_a_damaged_manifest_is_mended_by_a_new_build(shards: Path, copy: Path) -> None:
    flip(copy / MANIFEST, 8 * 300)
    flip(copy / "train-00000-of-00002.parquet", 4321)
    repair_folder(copy)
    assert files_of(copy) == files_of(shards)


def test_a_damaged_manifest_of_unknown_origin_is_an_error(copy: Path) -> None:
    (copy / MANIFEST).write_text("{}")
    (copy / ".build" / "sources.json").unlink()
    with pytest.raises(ShardError, match="there is no record of its sources; build it anew"):
        repair_folder(copy)


def test_sources_that_were_moved_are_found_where_they_are_said_to_be(tmp_path: Path) -> None:
    write(tmp_path / "in", cat=records("cat", range(90)), dog=records("dog", range(90, 120)))
    build(tmp_path / "in", tmp_path / "out", drawings_per_class=20)
    whole = files_of(tmp_path / "out")
    (tmp_path / "in").rename(tmp_path / "moved")
    (tmp_path / "out" / "train-00000-of-00001.parquet").write_bytes(b"")
    with pytest.raises(InputError, match=r"in/cat\.ndjson: this source is gone; say where it is"):
        repair_folder(tmp_path / "out")
    repair_folder(tmp_path / "out", [str(tmp_path / "moved")])
    assert files_of(tmp_path / "out") == whole


def test_a_source_that_has_changed_mends_nothing(tmp_path: Path) -> None:
    write(tmp_path / "in", cat=records("cat", range(90)))
    build(tmp_path / "in", tmp_path / "out")
    write(tmp_path / "in", cat=records("cat", range(1, 91)))
    (tmp_path / "out" / "train-00000-of-00001.parquet").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"cat\.ndjson: has changed since the shards were built"):
        repair_folder(tmp_path / "out")
    assert (tmp_path / "out" / "train-00000-of-00001.parquet").read_bytes() == b"damaged"
    assert staging(tmp_path / "out") == ["lock", "sources.json"]


def test_shards_of_another_writer_are_not_mended(copy: Path) -> None:
    fields = json.loads((copy / MANIFEST).read_text())
    other = replace(read_manifest(copy), writer={**fields["writer"], "pyarrow": "1.0"})
    (copy / MANIFEST).write_text(other.dump())
    flip(copy / "train-00001-of-00002.parquet", 4321)
    with pytest.raises(MismatchError, match=r"written by sketchpipe .*, pyarrow 1\.0; repair it with these versions"):
        repair_folder(copy)


def test_the_commands_tell_what_is_damaged_and_mend_it(copy: Path, shards: Path) -> None:
    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(SKETCHPIPE), *command], capture_output=True, text=True, check=False)

    good = run("verify", str(copy), "--deep")
    assert (good.returncode, good.stdout) == (0, "")
    assert "4 shards, 700 drawings" in good.stderr
    flip(copy / "train-00001-of-00002.parquet", 4321)
    bad = run("verify", str(copy))
    assert bad.returncode == 4
    assert bad.stdout == "train-00001-of-00002.parquet: its SHA-256 does not match the manifest\n"
    assert bad.stderr == f"sketchpipe: {copy}: 1 file is damaged; repair the folder with `sketchpipe repair {copy}`\n"
    mended = run("repair", str(copy))
    assert (mended.returncode, mended.stdout) == (0, bad.stdout[:-1] + "; rebuilt\n")
    assert files_of(copy) == files_of(shards)
    assert "nothing to repair" in run("repair", str(copy)).stderr
    nowhere = run("verify", str(copy / "nowhere"))
    assert (nowhere.returncode, "no such folder" in nowhere.stderr) == (3, True)


def test_a_manifest_that_names_other_files_is_damaged_and_leads_nobody_astray(copy: Path) -> None:
    (copy.parent / "precious.txt").write_text("mine")
    manifest = read_manifest(copy)
    for change in ({"name": "../precious.txt"}, {"split": "test"}, {"rows": True}, {"name": manifest.files[1].name}):
        files = (replace(manifest.files[0], **change), *manifest.files[1:])
        (copy / MANIFEST).write_text(replace(manifest, files=files).dump())
        with pytest.raises(ShardError, match=r"manifest\.json: damaged"):
            read_manifest(copy)
    repair_folder(copy)
    assert (copy.parent / "precious.txt").read_text() == "mine"


def test_a_folder_where_a_shard_belongs_is_named_and_nothing_is_lost(copy: Path) -> None:
    shard = copy / "train-00001-of-00002.parquet"
    shard.unlink()
    shard.mkdir()
    assert [str(damage) for damage in verify_folder(copy)] == [f"{shard.name}: is a folder, not a file"]
    with pytest.raises(OutputError, match="is a folder where a file belongs; remove it"):
        repair_folder(copy)
    before = files_of_but(copy, shard.name)
    origin = json.loads((copy / ".build" / "sources.json").read_text())
    with pytest.raises(OutputError, match=f"holds {shard.name}, which sketchpipe did not make"):
        build([Path(path) for path, *_ in origin["sources"]], copy, num_shards=2)
    assert files_of_but(copy, shard.name) == before


def files_of_but(folder: Path, name: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != name}


def test_a_file_that_looks_like_a_shard_and_is_none_is_found(copy: Path) -> None:
    (copy / "train-00002-of-00002.parquet").write_bytes(b"PAR1")
    (found,) = verify_folder(copy)
    assert (found.name, found.misplaced) == ("train-00002-of-00002.parquet", True)


def test_a_drawing_that_stands_twice_across_row_groups_is_found(tmp_path: Path) -> None:
    write(tmp_path / "in", cat=records("cat", range(25)))
    build(tmp_path / "in", tmp_path / "out", splits="1,0,0", row_group_rows=10)
    name = "train-00000-of-00001.parquet"
    groups = [pq.ParquetFile(tmp_path / "out" / name).read_row_group(k) for k in range(3)]
    assert verify_folder(tmp_path / "out", deep=True) == []
    repeated = [groups[0], pa.concat_tables([groups[0].slice(9), groups[1].slice(1)]), groups[2]]
    forge(tmp_path / "out", name, *repeated)
    (found,) = verify_folder(tmp_path / "out", deep=True)
    assert found.what == "a drawing is there twice"


def test_sources_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    for folder, keys in (("x/in", range(90)), ("y/in", range(90, 150))):
        write(tmp_path / folder, cat=records("cat", keys))
    build([tmp_path / "x" / "in", tmp_path / "y" / "in"], tmp_path / "out")
    whole = files_of(tmp_path / "out")
    (tmp_path / "out" / "train-00000-of-00001.parquet").unlink()
    repair_folder(tmp_path / "out")
    assert files_of(tmp_path / "out") == whole
    (tmp_path / "x").rename(tmp_path / "z")
    (tmp_path / "out" / "train-00000-of-00001.parquet").unlink()
    repair_folder(tmp_path / "out", [str(tmp_path / "y"), str(tmp_path / "z")])
    assert files_of(tmp_path / "out") == whole


@pytest.mark.parametrize("damaged", [MANIFEST, "train-00000-of-00001.parquet"])
def test_binary_files_of_other_words_and_folders_in_folders_are_mended_the_same(
    quickdraw: Path, tmp_path: Path, damaged: str
) -> None:
    write(tmp_path / "m" / "c", x=records("cat", range(90)))
    write(tmp_path / "m", b=records("cat", range(90, 190)))
    (tmp_path / "m" / "mything.bin").write_bytes((quickdraw / "binary" / "dog.bin").read_bytes())
    build(tmp_path / "m", tmp_path / "out", drawings_per_class=40)
    whole = files_of(tmp_path / "out")
    flip(tmp_path / "out" / damaged, 8 * 200)
    repair_folder(tmp_path / "out")
    assert files_of(tmp_path / "out") == whole


def test_a_repair_that_cannot_write_says_so_and_changes_nothing(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flip(copy / "train-00001-of-00002.parquet", 4321)
    before = files_of(copy)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(
        OutputError, match=r"cannot be written \(No space left on device\); no undamaged file was changed"
    ):
        repair_folder(copy)
    assert files_of(copy) == before
    assert staging(copy) == ["lock", "sources.json"]
