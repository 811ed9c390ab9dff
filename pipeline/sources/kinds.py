"""Tells from the first bytes of a file what it is, and says how a file of another kind becomes one that can be read."""

import re
import string
from pathlib import Path
from typing import Literal

from pipeline.sources.binary import has_header
from pipeline.sources.converters.csv_table import csv_columns
from pipeline.sources.converters.sketch_rnn import is_sketch_rnn
from pipeline.sources.streams import Stream

PEEK_BYTES = 1 << 14
_SOURCES = "expected a file of drawings: ndjson, a JSON array, Kaggle's csv, Google's .bin or sketch-rnn's .npz"
_UTF16 = "text in UTF-16; convert it to UTF-8: iconv -f UTF-16 -t UTF-8 FILE > NEW.ndjson"
_UTF32 = "text in UTF-32; convert it to UTF-8: iconv -f UTF-32 -t UTF-8 FILE > NEW.ndjson"
_TAR = "a tar archive; unpack it first: tar -xf FILE"
_TRACED = "`sketchpipe predict` takes PNG, JPEG, WebP and SVG, as files or from stdin"
_PICTURE = f"a picture ({{0}}), which has no strokes; {_TRACED}; {_SOURCES}"
_NO_STROKES = f"an SVG file, of which no strokes are read here; {_TRACED}; {_SOURCES}"
_PAGE = f"a web page or XML, perhaps one that offers the file; {_SOURCES}"
_MAGIC = {  # in this order, because some begin like others
    b"\xff\xfe\x00\x00": _UTF32,
    b"\x00\x00\xfe\xff": _UTF32,
    b"\xff\xfe": _UTF16,
    b"\xfe\xff": _UTF16,
    b"PK\x03\x04": "a zip archive; unpack it first: unzip FILE",
    b"PK\x05\x06": "an empty zip archive; " + _SOURCES,
    b"PAR1": "a Parquet file; write its rows as ndjson: duckdb -c \"copy (from 'FILE') to 'NEW.ndjson' (format json)\"",
    b"\x93NUMPY": "a NumPy array (.npy), which has no strokes; `sketchpipe render bitmaps` takes Google's bitmaps",
    b"BZh": "compressed by bzip2; decompress it first: bzip2 -d FILE",
    b"\xfd7zXZ\x00": "compressed by xz; decompress it first: xz -d FILE",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive; unpack it first: 7z x FILE",
    b"Rar!\x1a\x07": "a rar archive; unpack it first: unrar x FILE",
    b"\x1f\x8b": "compressed by gzip twice; decompress it once: gzip -d FILE",
    b"\x28\xb5\x2f\xfd": "compressed by zstd inside; decompress it once more: zstd -d FILE",
    b"\x04\x22\x4d\x18": "compressed by lz4; decompress it first: lz4 -d FILE",
    b"\x89PNG\r\n\x1a\n": _PICTURE.format("PNG"),
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00": _PICTURE.format("JPEG"),
    b"\xff\xd8\xff": _PICTURE.format("JPEG"),
    b"GIF87a": _PICTURE.format("GIF"),
    b"GIF89a": _PICTURE.format("GIF"),
    b"%PDF-": "a PDF document; " + _SOURCES,
    b"version https://git-lfs": "a git-lfs pointer, not the file itself; fetch the file: git lfs pull",
    b"ARROW1\x00\x00": "an Arrow file; write its rows as ndjson, for instance with polars",
    b"FEA1": "a Feather file; write its rows as ndjson, for instance with polars",
    b"SQLite format 3\x00": "an SQLite database; write its rows as JSON: sqlite3 -json FILE 'select * from TABLE'",
    b"\x89HDF\r\n": "an HDF5 file; write its drawings as ndjson",
}
_CERTAIN = 8  # bytes of magic, with which a record begins by chance once in 2**64
_TABLES = (".csv", ".csv.gz", ".csv.zst")
_PICKLE = re.compile(rb"\x80[\x02-\x05](?:\x95.{8})?[\]}(\x8cc\x85-\x87KNUX)]", re.DOTALL)
_OBJECT_LINE = re.compile(rb"(?:^|\n)[ \t\r]*\{")
# Atomic, because comments could be divided in exponentially many ways otherwise.
_PROLOG = rb"(?>\s|<\?.*?\?>|<!--.*?-->|<!DOCTYPE\s+svg\b[^\[>]*(?:\[.*?\]\s*)?>)*+"
_SVG = re.compile(rb"(?:\xef\xbb\xbf)?" + _PROLOG + rb"<(?:\w+:)?svg[\s>/]", re.DOTALL)
_MARKUP = re.compile(rb"\s*<(?:[!?a-zA-Z])")
_TABLE = re.compile(rb"[^\n{\[<]*[,;\t][^\n]*(?:\n|$)")
_TEXT = frozenset(range(32, 256)) - {127} | {9, 10, 12, 13, 27}
_PRINTED = frozenset(string.printable.encode())


def is_npz(begin: bytes) -> bool:
    """Whether a file with this beginning may be an `.npz`: a zip file whose first member is an array."""
    length = int.from_bytes(begin[26:28], "little")
    return begin.startswith(b"PK\x03\x04") and begin[30 : 30 + length].endswith(b".npy")


def holds_drawings(path: Path) -> bool:
    """Whether a file with a name of csv or npz is Kaggle's or sketch-rnn's; of other names it is not asked.

    Raises:
        InputError: it cannot be read.
    """
    if path.name.lower().endswith(_TABLES):
        with Stream(path) as stream:
            return csv_columns(stream.peek(PEEK_BYTES)) is not None
    return path.name.lower().endswith(".npz") and is_sketch_rnn(path)


def picture_kind(begin: bytes) -> Literal["raster", "SVG"] | None:
    """Which kind of picture that `sketchpipe predict` traces a file is: PNG, JPEG or WebP, or SVG; None if it is none.

    >>> picture_kind(b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg">')
    'SVG'

    Args:
        begin: its first `PEEK_BYTES` bytes, or all if there are fewer.
    """
    if begin.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or (begin[:4] == b"RIFF" and begin[8:12] == b"WEBP"):
        return "raster"
    return "SVG" if _SVG.match(begin) else None


def refusal(begin: bytes, name: str, *, is_binary: bool) -> str | None:
    """What a file is that cannot be read, and what to do; None if it may hold drawings.

    Args:
        begin: its first `PEEK_BYTES` bytes, decompressed, or all if there are fewer.
        name: its name.
        is_binary: whether its name says that it holds Google's packed records. These may begin with any bytes, so that
            such a file is refused only if it cannot begin with a record either, or by eight bytes or more.
    """
    if not begin:
        return None
    may_be_record = is_binary and has_header(begin)
    known = _known(begin, _CERTAIN if may_be_record else 0)
    if known is not None or may_be_record:
        return known
    text = begin.removeprefix(b"\xef\xbb\xbf")
    if is_binary:
        if _MARKUP.match(text):
            return _NO_STROKES if _SVG.match(text) else _PAGE
        is_text = len(begin) > 16 and all(byte in _PRINTED for byte in begin)
        return "text, though its name ends in .bin; name it .ndjson if it is ndjson" if is_text else None
    if _OBJECT_LINE.search(begin):
        return None
    if _MARKUP.match(text):
        return _NO_STROKES if _SVG.match(text) else _PAGE
    for place, byte in enumerate(text):
        if byte not in _TEXT:
            return (
                f"not text: its first byte that is not text is 0x{byte:02x}, at byte {len(begin) - len(text) + place}; "
                f"{_SOURCES} (Google's packed drawings must be named .bin)"
            )
    if _TABLE.match(text) and (name.partition(".")[2].startswith(("csv", "tsv")) or text.count(b"\n") > 1):
        return (
            "a table (csv) that is not Kaggle's: expected a first line with the names drawing and key_id or word, "
            "and commas between them"
        )
    return None


def _known(begin: bytes, least: int) -> str | None:
    """What `_MAGIC` and a few tests say; with `least`, only what so many bytes say."""
    if _is_tar(begin):
        return _TAR
    for magic, said in _MAGIC.items():
        if begin.startswith(magic) and len(magic) >= least:
            return said
    if least:
        return None
    for unit, said in ((4, _UTF32), (2, _UTF16)):
        if _has_wide_characters(begin, unit):
            return said
    if begin.startswith(b"RIFF") and begin[8:12] == b"WEBP":
        return _PICTURE.format("WebP")
    if _PICKLE.match(begin):
        return "a pickle of Python, which may run any code and is not read; write its drawings as ndjson"
    return None


def _has_wide_characters(begin: bytes, unit: int) -> bool:
    """Whether these are characters of ASCII, each in `unit` bytes, of which all but the first or the last are 0."""
    some = begin[: 16 * unit]
    some = some[: len(some) - len(some) % unit]
    for place in (0, unit - 1):
        characters = some[place::unit]
        zeros = sum(some[k::unit].count(0) for k in range(unit) if k != place)
        if (
            len(characters) > 3
            and zeros == len(some) - len(characters)
            and all(byte in _PRINTED for byte in characters)
        ):
            return True
    return False


def _is_tar(begin: bytes) -> bool:
    """Whether it begins with a header of tar: the sum of its bytes, its own place counted as spaces, is in it."""
    header = begin[:512]
    try:
        wanted = int(header[148:156].strip(b" \0"), 8)
    except ValueError:
        return False
    return len(header) == 512 and sum(header) - sum(header[148:156]) + 8 * 32 == wanted
