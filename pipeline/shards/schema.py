"""The columns of a shard, and conversion between Arrow tables and drawings.

docs/shards.md describes each column. `x` and `y` are binary, one byte a point, because Parquet stores the values of a
list of small integers as int32: lists took 3 to 5 times longer to write and 4 times longer to read.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.arrays import Int64Array
from pipeline.drawings import Drawings
from pipeline.jit import kernel
from pipeline.packed import PackedDrawings

SCHEMA = pa.schema(
    [
        pa.field("key_id", pa.uint64(), nullable=False),
        pa.field("word", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("label", pa.uint16(), nullable=False),
        pa.field("recognized", pa.bool_()),
        pa.field("countrycode", pa.dictionary(pa.int32(), pa.string())),
        pa.field("timestamp", pa.timestamp("us", tz="UTC")),
        pa.field("x", pa.binary(), nullable=False),
        pa.field("y", pa.binary(), nullable=False),
        pa.field("stroke_end", pa.list_(pa.uint16()), nullable=False),
    ]
)
# zstd saved 4 % of x and y, and took three times as long to write; of the strokes, it is their ends that repeat.
_ZSTD = ("key_id", "word", "label", "recognized", "countrycode", "timestamp", "stroke_end.list.element")
WRITER_OPTIONS: dict[str, Any] = {
    "compression": {**dict.fromkeys(_ZSTD, "zstd"), "x": "none", "y": "none"},
    "compression_level": dict.fromkeys(_ZSTD, 1),
    "use_dictionary": ["word", "countrycode"],
    "write_statistics": ["key_id", "label"],
    "write_page_checksum": True,
}


Dictionaries = tuple[pa.Array, pa.Array]
Integer = TypeVar("Integer", bound=np.integer[Any])


def to_table(drawings: Drawings, dictionaries: Dictionaries | None = None) -> pa.Table:
    """A table of `SCHEMA`; `drawings.words` are the classes in label order.

    Its columns are made from buffers: `pa.array` of a NumPy array imports pandas, if installed, in half a second.

    Args:
        drawings: the drawings.
        dictionaries: `dictionaries_of(drawings)`, which tables of the same classes and codes share; None to make them.
    """
    words, countrycodes = dictionaries or dictionaries_of(drawings)
    point_offsets, stroke_offsets = (np.empty(len(drawings) + 1, np.int32) for _ in range(2))
    within = np.empty(len(drawings.stroke_end), np.uint16)
    _to_offsets(drawings.stroke_end, drawings.drawing_end, point_offsets, stroke_offsets, within)
    recognized = np.packbits(drawings.recognized == 1, bitorder="little")
    columns = {
        "key_id": _array(pa.uint64(), drawings.key_id),
        "word": pa.DictionaryArray.from_arrays(_array(pa.int32(), drawings.word), words),
        "label": _array(pa.uint16(), drawings.word.astype(np.uint16)),
        "recognized": _array(pa.bool_(), recognized, drawings.recognized >= 0),
        "countrycode": pa.DictionaryArray.from_arrays(
            _array(pa.int32(), drawings.countrycode, drawings.countrycode >= 0), countrycodes
        ),
        "timestamp": _array(SCHEMA.field("timestamp").type, drawings.timestamp, ~np.isnat(drawings.timestamp)),
        "x": _binary(drawings.x, point_offsets),
        "y": _binary(drawings.y, point_offsets),
        "stroke_end": pa.ListArray.from_arrays(_array(pa.int32(), stroke_offsets), _array(pa.uint16(), within)),
    }
    return pa.Table.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def dictionaries_of(drawings: Drawings) -> Dictionaries:
    """The dictionaries of the words and of the country codes of a table of these drawings."""
    return _strings(drawings.words), _strings(drawings.countrycodes)


def from_table(table: pa.Table) -> Drawings:
    """The drawings of a table of `SCHEMA`, of which label, x, y and stroke_end are enough.

    Without its column `key_id` is 0 and `recognized` unknown; countrycodes and timestamps are never read. `word` holds
    the labels, and `words` is left empty for the caller, who knows the classes.
    """
    count = table.num_rows
    offsets, x = _bytes(table.column("x"))
    _, y = _bytes(table.column("y"))
    ends = _whole(table.column("stroke_end"))
    list_offsets = integers(ends.offsets, np.int32).astype(np.int64)
    drawing_end = list_offsets[1:] - list_offsets[0]
    within = integers(ends.flatten(), np.uint16).astype(np.int64)
    stroke_end = within + np.repeat(offsets[:-1], np.diff(drawing_end, prepend=0))
    return Drawings(
        x=x,
        y=y,
        stroke_end=stroke_end,
        drawing_end=drawing_end,
        key_id=integers(table.column("key_id"), np.uint64)
        if "key_id" in table.column_names
        else np.zeros(count, np.uint64),
        word=integers(table.column("label"), np.uint16).astype(np.int32),
        recognized=_recognized(table, count),
        countrycode=np.full(count, -1, np.int32),
        timestamp=np.full(count, "NaT", "datetime64[us]"),
    )


def pack_table(table: pa.Table) -> PackedDrawings:
    """The strokes and labels of a table of `SCHEMA`, of which label, x, y and stroke_end are enough.

    Raises:
        ValueError: its strokes and points do not belong together. No checksum covers page headers: some of their
            bits change the number of strokes that Arrow reads; no bit changes anything else without an error.
    """
    check_nulls(table)
    first_point, x = _bytes(table.column("x"))
    first_y, y = _bytes(table.column("y"))
    ends = _whole(table.column("stroke_end"))
    first_stroke = integers(ends.offsets, np.int32).astype(np.int64)
    label = integers(table.column("label"), np.uint16)
    within = integers(ends.flatten(), np.uint16)
    packed = PackedDrawings(x, y, first_point, within, first_stroke - first_stroke[0], label)
    if not (np.array_equal(first_point, first_y) and packed.is_sound()):
        raise ValueError("its strokes and points do not belong together")
    return packed


def check_nulls(table: pa.Table) -> None:
    """Check that no value is missing in columns of `SCHEMA` that must have one, because nobody looks for it later.

    Raises:
        ValueError: one is missing.
    """
    for field in SCHEMA:
        if field.nullable or field.name not in table.column_names:
            continue
        for chunk in table.column(field.name).chunks:
            if chunk.null_count or (field.name == "stroke_end" and chunk.flatten().null_count):
                raise ValueError(f"{field.name} is missing in a row")


def check_values(table: pa.Table) -> None:
    """Check every value of a table of `SCHEMA`: texts are UTF-8, and no word or countrycode points outside its list.

    Raises:
        ValueError, ArrowException: a value cannot be used.
    """
    table.validate(full=True)
    check_nulls(table)


def integers(column: pa.ChunkedArray | pa.Array, dtype: type[Integer]) -> NDArray[Integer]:
    """(N,) dtype, the values of a column of that type without nulls; not copied, if it is in one piece.

    `np.asarray` of an Arrow array imports pandas, if installed, in half a second.
    """
    array = _whole(column) if isinstance(column, pa.ChunkedArray) else column
    values = np.frombuffer(array.buffers()[1] or b"", dtype)
    return values[array.offset : array.offset + len(array)]


def _recognized(table: pa.Table, count: int) -> np.ndarray[Any, np.dtype[np.int8]]:
    if "recognized" not in table.column_names:
        return np.full(count, -1, np.int8)
    column = table.column("recognized")
    is_known = integers(column.is_valid().cast(pa.int8()), np.int8)  # `fill_null` would import pandas
    return np.where(is_known == 1, integers(column.cast(pa.int8()), np.int8), np.int8(-1))


def _array(kind: pa.DataType, values: np.ndarray[Any, Any], valid: np.ndarray[Any, Any] | None = None) -> pa.Array:
    """An array over `values`, which are packed bits for booleans; null where `valid`, (N,) bool, is False."""
    count = len(values) if valid is None else len(valid)
    mask = None if valid is None or valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(kind, count, [mask, pa.py_buffer(np.ascontiguousarray(values).view(np.uint8))])


def _strings(values: Sequence[str]) -> pa.Array:
    encoded = [value.encode() for value in values]
    offsets, text = np.cumsum([0, *map(len, encoded)], dtype=np.int32), pa.py_buffer(b"".join(encoded))
    return pa.Array.from_buffers(pa.string(), len(encoded), [None, pa.py_buffer(offsets), text])


def _binary(values: np.ndarray[Any, Any], offsets: np.ndarray[Any, Any]) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(values)])


def _whole(column: pa.ChunkedArray) -> Any:
    if not column.num_chunks:
        return pa.array([], column.type)
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _bytes(column: pa.ChunkedArray) -> tuple[Int64Array, np.ndarray[Any, np.dtype[np.uint8]]]:
    """(N + 1,) offsets from 0, and the bytes of all rows, not copied."""
    array = _whole(column)
    _, offset_buffer, bytes_buffer = array.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    values = np.frombuffer(bytes_buffer or b"", np.uint8)
    return offsets - offsets[0], values[offsets[0] : offsets[-1]]


@kernel
def _to_offsets(
    stroke_end: Int64Array, drawing_end: Int64Array, point_offsets: NDArray[np.int32],
    stroke_offsets: NDArray[np.int32], within: NDArray[np.uint16],
) -> None:  # fmt: skip
    """Fill the offsets of each drawing's points and strokes, (N + 1,), and the end of each stroke in its drawing."""
    stroke = point = 0
    point_offsets[0] = stroke_offsets[0] = 0
    for drawing in range(len(drawing_end)):
        start = point
        while stroke < drawing_end[drawing]:
            point = stroke_end[stroke]
            within[stroke] = point - start
            stroke += 1
        point_offsets[drawing + 1] = point
        stroke_offsets[drawing + 1] = stroke
