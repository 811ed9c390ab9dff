import itertools
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.drawings import Drawings, from_strokes
from pipeline.errors import InputError, MismatchError, ShardError, UsageError
from pipeline.sample.doodles import write_sample
from pipeline.shards.manifest import read_manifest
from pipeline.shards.read import STROKE_COLUMNS, open_split
from pipeline.shards.schema import SCHEMA, WRITER_OPTIONS, from_table, pack_table, to_table
from pipeline.storage.commit import BUILD
from tests.shards.builds import build, files_of, record, records, rows_of, write

COLUMNS = ("x", "y", "stroke_end", "drawing_end", "key_id", "word", "recognized")
STROKES_AND_WORD = ("x", "y", "stroke_end", "drawing_end", "word")
FLIPS = 60


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About a hundred drawings in several row groups; nobody writes into it."""
    folder = tmp_path_factory.mktemp("read")
    write_sample(folder / "sample", drawings_per_class=12)
    build(folder / "sample", folder / "shards", num_shards=2, row_group_rows=16)
    return folder / "shards"


@pytest.fixture
def copy(shards: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shards, tmp_path / "copy"))


def flip(folder: Path, seed: int) -> Path:
    """Flip a bit of a shard, and say of which."""
    random = np.random.default_rng(seed)
    files = sorted(folder.glob("*.parquet"))
    path = files[random.integers(len(files))]
    content = bytearray(path.read_bytes())
    content[random.integers(len(content))] ^= 1 << random.integers(8)
    path.write_bytes(content)
    return path


def read_everything(folder: Path) -> list[Drawings]:
    """Every column of every row of every split."""
    splits = [open_split(folder, split) for split in ("train", "validation", "test")]
    return [split.read_row_group(k, SCHEMA.names) for split in splits for k in range(len(split.row_groups))]


def read_as_stored(folder: Path, name: str) -> None:
    split = open_split(folder, name)
    for group in range(len(split.row_groups)):
        split.read_table(group, SCHEMA.names)


def same(first: list[Drawings], other: list[Drawings]) -> bool:
    return len(first) == len(other) and all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for a, b in zip(first, other, strict=True)
        for name in COLUMNS
    )


def test_a_split_gives_the_rows_of_its_shards_in_order(shards: Path) -> None:
    split = open_split(shards, "train")
    rows = rows_of(shards, "train")
    assert len(split) == len(rows) == split.row_starts[-1]
    for group, (start, stop) in enumerate(zip(split.row_starts[:-1], split.row_starts[1:], strict=True)):
        drawings = split.read_row_group(group, SCHEMA.names)
        assert len(drawings) == stop - start <= 16
        for k, (key_id, word, strokes, recognized, *_) in enumerate(rows[start:stop]):
            assert (drawings.key_id[k], drawings.words[drawings.word[k]]) == (key_id, word)
            assert (drawings.strokes(k), bool(drawings.recognized[k])) == (strokes, recognized)


def test_rows_are_read_in_the_order_asked_for(shards: Path) -> None:
    split, rows = open_split(shards, "train"), rows_of(shards, "train")
    wanted = np.array([40, 3, 17, 3, len(split) - 1, 0])
    drawings = split.read_rows(wanted)
    assert drawings.key_id.tolist() == [rows[k][0] for k in wanted]
    assert [drawings.strokes(k) for k in range(6)] == [rows[k][2] for k in wanted]


def test_columns_that_are_not_read_come_as_unknown(shards: Path) -> None:
    drawings = open_split(shards, "train").read_row_group(0)
    assert set(drawings.recognized.tolist()) == {-1}
    assert np.isnat(drawings.timestamp).all()


def test_drawings_survive_the_way_to_a_table_and_back() -> None:
    strokes = [[[[1, 2], [3, 4]], [[0], [255]]], [[[9] * 300, [8] * 300]], [[[5], [6]]]]
    drawings = from_strokes(strokes, ["dog", "cat", "dog"])
    drawings.recognized[:] = [1, 0, -1]
    for part in (drawings, drawings.take(np.array([2, 0])), drawings.slice(1, 3), drawings.slice(0, 0)):
        table = to_table(part)
        assert table.schema == SCHEMA
        assert same([from_table(table.combine_chunks())], [part])
    again = from_table(to_table(drawings).slice(1, 2))
    assert same([again], [drawings.slice(1, 3)])


def test_a_table_holds_nulls_where_nothing_is_known() -> None:
    drawings = from_strokes([[[[1], [2]]], [[[1], [2]]]], ["cat", "cat"])
    drawings.countrycodes.append("DE")
    drawings.countrycode[1], drawings.timestamp[1] = 0, np.datetime64("2017-03-02T23:25:10.07453")
    first, second = to_table(drawings).select(["recognized", "countrycode", "timestamp"]).to_pylist()
    assert set(first.values()) == {None}
    assert second["countrycode"] == "DE"
    assert second["timestamp"].isoformat() == "2017-03-02T23:25:10.074530+00:00"


@pytest.mark.parametrize("seed", range(FLIPS))
def test_a_flipped_bit_is_an_error_or_changes_nothing_that_is_read(shards: Path, copy: Path, seed: int) -> None:
    path = flip(copy, seed)
    try:
        found = read_everything(copy)
    except ShardError as error:
        message = str(error)
    else:
        message = f"{path}: damaged" if same(found, read_everything(shards)) else "other drawings"
    assert f"{path}: damaged" in message


@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_bit_is_an_error_where_any_column_is_read_as_it_is_stored(copy: Path, seed: int) -> None:
    path = flip(copy, seed)
    with pytest.raises(ShardError, match=f"{path.name}: damaged"):
        read_as_stored(copy, path.name.partition("-")[0])


def test_every_flipped_bit_of_a_page_s_header_is_an_error_or_changes_nothing_that_is_read() -> None:
    drawings = from_strokes([[[[1, 2], [3, 4]], [[0], [255]]], [[[9] * 3, [8] * 3]], [[[5], [6]]]], ["a", "b", "a"])
    sink = pa.BufferOutputStream()
    pq.write_table(to_table(drawings), sink, **WRITER_OPTIONS)
    whole = sink.getvalue().to_pybytes()
    metadata = pq.read_metadata(pa.BufferReader(whole))  # of the footer, whose own hash proves it

    def read(content: bytes) -> Drawings:
        file = pq.ParquetFile(pa.BufferReader(content), metadata=metadata, page_checksum_verification=True)
        return pack_table(file.read_row_group(0, columns=list(STROKE_COLUMNS), use_threads=False)).unpack(["a", "b"])

    columns = [metadata.row_group(0).column(SCHEMA.get_field_index(name)) for name in STROKE_COLUMNS]
    places = [
        place
        for column in columns
        for place in range(column.data_page_offset, column.data_page_offset + column.total_compressed_size)
    ]
    found = {"errors": 0, "the same": 0}
    for place, bit in itertools.product(places, range(8)):
        content = bytearray(whole)
        content[place] ^= 1 << bit
        try:
            again = read(bytes(content))
        except (pa.ArrowException, OSError, ValueError):
            found["errors"] += 1
        else:
            assert all(np.array_equal(getattr(again, name), getattr(drawings, name)) for name in STROKES_AND_WORD)
            found["the same"] += 1
    assert found["errors"] > 10 * found["the same"] / 3


@pytest.mark.parametrize("column", range(9))
def test_a_bit_that_flips_while_the_shards_are_in_use_is_found_by_the_page_s_checksum(copy: Path, column: int) -> None:
    read_everything(copy)
    for path in sorted(copy.glob("*.parquet")):
        before = path.stat()
        with pq.ParquetFile(path) as file:
            chunk = file.metadata.row_group(0).column(column)
        content = bytearray(path.read_bytes())
        first = chunk.dictionary_page_offset or chunk.data_page_offset
        content[first + chunk.total_compressed_size - 1] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # a disk that rots changes no time
    for split in ("train", "validation", "test"):
        opened = open_split(copy, split)
        with pytest.raises(ShardError, match=r"parquet: damaged \(.*CRC checksum"):
            opened.read_row_group(0, SCHEMA.names)


def test_a_flipped_bit_anywhere_in_the_footer_is_an_error_at_opening(copy: Path) -> None:
    (file,) = (file for file in read_manifest(copy).files if file.split == "test")
    whole = (copy / file.name).read_bytes()
    for place in range(1, file.footer_bytes, 37):
        content = bytearray(whole)
        content[-place] ^= 1 << place % 8
        (copy / file.name).write_bytes(content)
        with pytest.raises(ShardError, match=f"{file.name}: damaged"):
            open_split(copy, "test")


@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_bit_in_the_manifest_is_an_error(copy: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    path = copy / "manifest.json"
    content = bytearray(path.read_bytes())
    content[random.integers(len(content))] ^= 1 << random.integers(8)
    path.write_bytes(content)
    with pytest.raises(ShardError, match=r"manifest\.json: damaged"):
        read_manifest(copy)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"null", b"{}", b'{"checksum": "", "format": "sketchpipe-shards"}', b"\xff", b'"\\ud800"'],
)
def test_a_manifest_of_anything_else_is_damaged(copy: Path, text: bytes) -> None:
    (copy / "manifest.json").write_bytes(text)
    with pytest.raises(ShardError, match=r"manifest\.json: damaged"):
        read_manifest(copy)


@pytest.mark.parametrize("name", ["classes", "counts", "files", "sources", "seed"])
def test_a_manifest_with_a_field_changed_by_hand_is_damaged(copy: Path, name: str) -> None:
    fields = json.loads((copy / "manifest.json").read_text())
    fields[name] = 5
    (copy / "manifest.json").write_text(json.dumps(fields, indent=1))
    with pytest.raises(ShardError, match=r"manifest\.json: damaged"):
        read_manifest(copy)


def test_a_manifest_of_another_version_is_a_mismatch(copy: Path) -> None:
    fields = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(fields | {"format_version": 1}, indent=1))
    with pytest.raises(MismatchError, match="format sketchpipe-shards 1, but this version reads sketchpipe-shards 2"):
        read_manifest(copy)


def test_shards_changed_for_each_other_or_cut_or_gone_are_errors(copy: Path) -> None:
    first, second = sorted(copy.glob("train-*"))
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    with pytest.raises(ShardError, match=r"train-00000-of-00002\.parquet: damaged"):
        open_split(copy, "train")
    first.write_bytes(contents[0][:-1])
    with pytest.raises(ShardError, match="damaged"):
        open_split(copy, "train")
    first.write_bytes(b"")
    with pytest.raises(ShardError, match="damaged"):
        open_split(copy, "train")
    first.unlink()
    with pytest.raises(ShardError, match="the shard is missing; repair the folder with"):
        open_split(copy, "train")


@pytest.mark.parametrize(
    ("stroke_end", "y"),
    [([2, 1], [1, 2]), ([0, 2], [1, 2]), ([1, 1, 2], [1, 2]), ([1], [1, 2]), ([3], [1, 2]), ([], [1, 2]), ([2], [1])],
)
def test_strokes_and_points_that_do_not_belong_together_are_no_drawing(stroke_end: list[int], y: list[int]) -> None:
    good = {"label": 0, "x": bytes(2), "y": bytes(2), "stroke_end": [1, 2]}
    schema = pa.schema([SCHEMA.field(name) for name in STROKE_COLUMNS])
    assert len(pack_table(pa.Table.from_pylist([good, good], schema))) == 2
    bad = good | {"y": bytes(y), "stroke_end": stroke_end}
    with pytest.raises(ValueError, match="its strokes and points do not belong together"):
        pack_table(pa.Table.from_pylist([good, bad, good], schema))


def test_a_shard_that_goes_while_it_is_read_is_an_error(copy: Path) -> None:
    split = open_split(copy, "test")
    (copy / split.files[0].name).unlink()
    with pytest.raises(ShardError, match="damaged"):
        split.read_row_group(0)


def test_a_folder_whose_commit_was_cut_off_is_not_read(copy: Path) -> None:
    (copy / BUILD / "commit.json").write_text("{}")
    with pytest.raises(ShardError, match="cut off in its last step; run `sketchpipe shards` again to finish it"):
        open_split(copy, "train")


def test_what_is_not_there_is_named(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='split "dev": expected one of train, validation, test'):
        open_split(shards, "dev")
    with pytest.raises(InputError, match="no such folder; make shards with"):
        open_split(tmp_path / "nowhere", "train")
    with pytest.raises(InputError, match=r"no shards here \(manifest.json is missing\)"):
        open_split(tmp_path, "train")
    build(write(tmp_path / "in", cat=records("cat", range(9))), tmp_path / "out", splits="1,0,0")
    with pytest.raises(InputError, match="its test split has no drawings: the shards were built with --splits 1,0,0"):
        open_split(tmp_path / "out", "test")


def test_shards_without_rows_are_passed_over(tmp_path: Path) -> None:
    build(write(tmp_path / "in", cat=record("cat", 1)), tmp_path / "out", num_shards=5, splits="1,0,0")
    split = open_split(tmp_path / "out", "train")
    assert (len(files_of(tmp_path / "out")), len(split), len(split.files)) == (6, 1, 1)
    assert split.read_row_group(0).strokes(0) == rows_of(tmp_path / "out")[0][2]
