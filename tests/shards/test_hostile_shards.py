"""Shards that prove themselves, their hashes made to fit: readers give one line, and `verify --deep` the reason."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError, MismatchError, ShardError, SketchpipeError, UsageError
from pipeline.shards.manifest import MANIFEST, read_manifest
from pipeline.shards.origin import read_origin
from pipeline.shards.repair import repair_folder
from pipeline.shards.schema import SCHEMA, WRITER_OPTIONS
from pipeline.shards.shuffle import parse_splits
from tests.mutations import mutated, sealed
from tests.shards.hostile_shards import SHARD, fit_manifest, refusals, small_set
from tests.small import in_process

pytestmark = pytest.mark.long

TRIALS = 150


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_set(tmp_path_factory.mktemp("hostile"))


@pytest.fixture
def copy(shards: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shards, tmp_path / "shards"))


def replaced(table: pa.Table, name: str, values: Any) -> pa.Table:
    """The table with another column; None for a value that is missing."""
    field = table.schema.field(name)
    column = values if isinstance(values, pa.Array) else pa.array(values, field.type)
    at = table.schema.get_field_index(name)
    return table.set_column(at, field.with_type(column.type).with_nullable(True), column)


def changed(name: str, change: Callable[[list[Any]], Any]) -> Callable[[pa.Table], pa.Table]:
    def change_table(table: pa.Table) -> pa.Table:
        values = table.column(name).to_pylist()
        return replaced(table, name, change(values))

    return change_table


def first(value: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda values: [value, *values[1:]]


def with_dictionary(words: list[str | None]) -> Callable[[pa.Table], pa.Table]:
    def change_table(table: pa.Table) -> pa.Table:
        indices = pa.array([0] * table.num_rows, pa.int32())
        return replaced(table, "word", pa.DictionaryArray.from_arrays(indices, pa.array(words, pa.string())))

    return change_table


CHANGES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "a drawing without strokes": changed("stroke_end", first([])),
    "a drawing without strokes and points": lambda t: changed("stroke_end", first([]))(
        changed("x", first(b""))(changed("y", first(b""))(t))
    ),
    "an empty stroke": changed("stroke_end", lambda v: [[v[0][0], *v[0]], *v[1:]]),
    "a stroke that ends at no point": changed("stroke_end", lambda v: [[0, *v[0]], *v[1:]]),
    "strokes that end before they begin": changed("stroke_end", lambda v: [[v[0][-1], 1], *v[1:]]),
    "a stroke beyond the points": changed("stroke_end", first([60_000])),
    "points without a stroke": changed("stroke_end", first([1])),
    "a stroke without an end": changed("stroke_end", first([None, 2])),
    "more x than y": changed("x", lambda v: [v[0] + b"1", *v[1:]]),
    "more y than x": changed("y", lambda v: [v[0] + b"1", *v[1:]]),
    "points that a neighbour has": changed("x", lambda v: [v[0] + v[1][:1], v[1][1:], *v[2:]]),
    "a label without a class": changed("label", first(2)),
    "a label far out of range": changed("label", first(65_535)),
    "a label of another word": changed("label", lambda v: [1 - v[0], *v[1:]]),
    "a word of no class": with_dictionary(["cow"]),
    "another key_id": changed("key_id", first(2**64 - 1)),
    "a drawing twice": lambda t: pa.concat_tables([t.slice(0, 1), t]),
    "a drawing too few": lambda t: t.slice(1),
    "another order": lambda t: t.take([1, 0, *range(2, t.num_rows)]),
    "a column too many": lambda t: t.append_column("more", pa.array([1] * t.num_rows)),
    "a column too few": lambda t: t.drop_columns(["timestamp"]),
    "columns in another order": lambda t: t.select(SCHEMA.names[::-1]),
    "labels of another type": lambda t: replaced(t, "label", t.column("label").cast(pa.int32()).combine_chunks()),
    "points as text": lambda t: replaced(t, "x", pa.array(["ab"] * t.num_rows)),
    "ends of a deeper list": lambda t: replaced(t, "stroke_end", pa.array([[[1]]] * t.num_rows)),
    **{f"{name} missing": changed(name, first(None)) for name in ("key_id", "word", "label", "x", "y", "stroke_end")},
}


def put(folder: Path, table: pa.Table, schema: pa.Schema | None = None) -> None:
    """Put a table in the shard's place, with the shard's own schema where it fits, and let the manifest fit."""
    if schema is None and table.schema.names == SCHEMA.names and table.schema.types == SCHEMA.types:
        schema = SCHEMA
    options = {**WRITER_OPTIONS, "compression": "none", "compression_level": None, "write_statistics": False}
    target = table if schema is None else pa.Table.from_arrays(table.columns, schema=schema)
    with pq.ParquetWriter(folder / SHARD, target.schema, **options) as writer:
        writer.write_table(target, row_group_size=16)
    fit_manifest(folder)


@pytest.mark.parametrize("fault", CHANGES)
def test_rows_that_break_the_format_are_refused_and_found(copy: Path, fault: str) -> None:
    table = pq.read_table(copy / SHARD)
    forged = CHANGES[fault](table)
    if "missing" in fault:  # a writer refuses these with the shard's schema
        forged = forged.cast(pa.schema([field.with_nullable(True) for field in forged.schema]))
        put(copy, forged, forged.schema)
    else:
        put(copy, forged)
    said, found = refusals(copy)
    assert found, f"{fault}: verify --deep finds nothing, readers say {said}"


@pytest.mark.parametrize("rows", [1, 2**40])
def test_a_row_group_that_claims_more_rows_than_it_has_is_refused_and_found(copy: Path, rows: int) -> None:
    claim_more(copy / SHARD, rows)
    fit_manifest(copy)
    assert pq.read_metadata(copy / SHARD).num_rows > 40
    said, found = refusals(copy)
    assert len(said) == 3
    assert found


def claim_more(path: Path, rows: int) -> None:
    """Let a file and its first row group claim more rows, by one or by many."""
    for count_of in (lambda m: m.num_rows, lambda m: m.row_group(0).num_rows):
        content = path.read_bytes()
        length = int.from_bytes(content[-8:-4], "little")
        before = count_of(pq.read_metadata(path))
        old = varint(before)
        at = len(content) - 8 - length
        while (at := content.index(old, at)) > 0:
            footer = content[len(content) - 8 - length : at] + varint(before + rows) + content[at + len(old) : -8]
            path.write_bytes(content[: -8 - length] + footer + len(footer).to_bytes(4, "little") + b"PAR1")
            try:
                if count_of(pq.read_metadata(path)) == before + rows:
                    break
            except OSError:
                pass
            at += 1


def varint(number: int) -> bytes:
    """A whole number as Thrift's compact protocol writes it (zigzag, seven bits a byte)."""
    rest, found = 2 * number, bytearray()
    while rest > 127:
        found.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*found, rest])


def test_whole_shards_are_refused_by_nobody(copy: Path) -> None:
    put(copy, pq.read_table(copy / SHARD))
    assert refusals(copy) == ([], [])


def test_flipped_bits_with_hashes_that_fit_end_no_reader_but_with_a_line(copy: Path) -> None:
    whole = (copy / SHARD).read_bytes()
    footer = read_manifest(copy).files[0].footer_bytes
    dice = np.random.default_rng(0)
    refused = 0
    for trial in range(TRIALS):
        content = bytearray(whole)
        place = len(whole) - int(dice.integers(1, footer)) if trial % 3 else int(dice.integers(len(whole)))
        content[place] ^= 1 << int(dice.integers(8))
        (copy / SHARD).write_bytes(content)
        fit_manifest(copy)
        said, found = refusals(copy)
        refused += bool(said)
        assert found or not said, said
    assert refused > TRIALS / 4


def test_manifests_of_any_content_end_no_reader_but_with_a_line(copy: Path) -> None:
    whole = (copy / MANIFEST).read_text()
    accepted, refused = [], []
    for change, text in mutated(whole):
        (copy / MANIFEST).write_bytes(sealed(text).encode(errors="replace"))
        try:
            manifest = read_manifest(copy)
        except (InputError, ShardError, MismatchError) as error:
            refused.append(str(error))
        else:
            assert sum(file.rows for file in manifest.files) == 40, change
            accepted.append(change)
    assert all(len(one) < 500 for one in refused)
    # A field that readers only show, or for which the value is another valid one.
    free = ("attribution", "writer", "options", "classes", "same_key", "rejects", "synthetic", "notes")
    fixed = [
        change
        for change in accepted
        if not change.startswith((*free, "sources[", "sources.", "files.0.bytes", "files.0.footer_bytes"))
    ]
    assert fixed == []


def test_records_of_sources_of_any_content_are_read_or_are_none(copy: Path) -> None:
    path = copy / ".build" / "sources.json"
    whole = path.read_text()
    for _, text in mutated(whole):
        path.write_bytes(text.encode(errors="replace"))
        read_origin(copy)
    path.write_text(whole)
    assert read_origin(copy) is not None


@pytest.mark.parametrize("text", ["1e999999999,0,0", "1,0,1e-999999999", "1e9_9_9_9_9_9_9_9_9,0,0"])
def test_shares_of_huge_exponents_are_refused_at_once(text: str) -> None:
    with pytest.raises(UsageError, match="expected three shares"):
        parse_splits(text)


def test_repair_of_forged_shards_is_one_line(copy: Path) -> None:
    put(copy, CHANGES["a drawing without strokes"](pq.read_table(copy / SHARD)))
    with pytest.raises(SketchpipeError, match=r"rebuilt to other bytes|has changed"):
        repair_folder(copy)


def test_commands_show_manifests_of_any_content_or_end_with_a_line(copy: Path) -> None:
    manifest = copy / MANIFEST
    changes = list(mutated(manifest.read_text()))
    places = [*np.random.default_rng(1).permutation(len(changes))[:40].tolist()]
    places += [place for place, (change, _) in enumerate(changes) if change.startswith("writer") or "seed" in change]
    for change, text in (changes[place] for place in places):
        manifest.write_bytes(sealed(text).encode(errors="replace"))
        ran = in_process("inspect", copy.name, cwd=copy.parent)
        lines = [line for line in ran.stderr.splitlines() if line.startswith("sketchpipe: ")]
        assert (ran.returncode, len(lines)) in [(0, 0), (3, 1), (4, 1), (5, 1)], (change, ran.stderr)
