"""A file that is something else is told by its first bytes, in one line with what to do."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import sqlite3
import tarfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.errors import InputError
from pipeline.shards.estimate import estimate_build
from pipeline.shards.options import BuildOptions
from pipeline.sources.files import find_sources
from pipeline.sources.kinds import refusal
from pipeline.sources.read import read_drawings, read_named
from tests.shards.builds import build, record
from tests.sources.naive_binary import pack
from tests.sources.other_kinds import JSON, LINES, kaggle_csv, read, refused, sketch_rnn, stroke_3

TEXT = record("cat", 1) * 20
STROKES = [[[0, 9], [0, 9]]]


def tar(name: str = "cat.ndjson", kind: int = tarfile.USTAR_FORMAT) -> bytes:
    """A tar archive of a file of drawings."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as archive:
        member = tarfile.TarInfo(name)
        member.size = len(TEXT)
        archive.addfile(member, io.BytesIO(TEXT))
    return file.getvalue()


def zipped(method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive of a file of drawings."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("cat.ndjson", TEXT)
    return file.getvalue()


def parquet() -> bytes:
    """A table of Parquet."""
    file = io.BytesIO()
    pq.write_table(pa.table({"word": ["cat"]}), file)
    return file.getvalue()


def npy() -> bytes:
    """Bitmaps of NumPy."""
    file = io.BytesIO()
    np.save(file, np.zeros((2, 784), np.uint8))
    return file.getvalue()


def sqlite() -> bytes:
    """A database of SQLite."""
    with sqlite3.connect(":memory:") as base:
        base.execute("create table drawings (word text)")
        return base.serialize()


STRANGE = {
    "utf-16": (TEXT.decode().encode("utf-16"), "text in UTF-16; convert it to UTF-8: iconv -f UTF-16 -t UTF-8"),
    "utf-16 le": (TEXT.decode().encode("utf-16-le"), "iconv -f UTF-16 -t UTF-8"),
    "utf-16 be": (TEXT.decode().encode("utf-16-be"), "iconv -f UTF-16 -t UTF-8"),
    "utf-32": (TEXT.decode().encode("utf-32"), "text in UTF-32; convert it to UTF-8: iconv -f UTF-32 -t UTF-8"),
    "utf-32 be": (TEXT.decode().encode("utf-32-be"), "iconv -f UTF-32 -t UTF-8"),
    "tar": (tar(), "a tar archive; unpack it first: tar -xf"),
    "gnu tar": (tar(kind=tarfile.GNU_FORMAT), "a tar archive"),
    "zip": (zipped(), "a zip archive; unpack it first: unzip"),
    "deflated zip": (zipped(zipfile.ZIP_DEFLATED), "a zip archive; unpack it first: unzip"),
    "parquet": (parquet(), "a Parquet file"),
    "npy": (npy(), "a NumPy array (.npy), which has no strokes"),
    "bzip2": (bz2.compress(TEXT), "compressed by bzip2; decompress it first: bzip2 -d"),
    "xz": (lzma.compress(TEXT), "compressed by xz; decompress it first: xz -d"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(60), "a 7z archive"),
    "rar": (b"Rar!\x1a\x07\x01\x00" + bytes(60), "a rar archive"),
    "gzip twice": (gzip.compress(gzip.compress(TEXT)), "compressed by gzip twice"),
    "png": (
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(40),
        "a picture (PNG), which has no strokes; `sketchpipe predict`",
    ),
    "jpeg": (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(40), "a picture (JPEG)"),
    "gif": (b"GIF89a\x40\x00\x40\x00\xf7" + bytes(40), "a picture (GIF)"),
    "webp": (b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(40), "a picture (WebP)"),
    "pdf": (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj", "a PDF document"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
    "page": (b"<!DOCTYPE html><html></html>", "a web page or XML"),
    "svg": (b'<?xml version="1.0"?>\n<!-- a cat --><svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG file"),
    "xml": (b'\xef\xbb\xbf<?xml version="1.0"?><Error/>', "a web page or XML"),
    "csv": (b"id,name\n1,cat\n2,dog\n", "a table (csv) that is not Kaggle's"),
    "arrow": (b"ARROW1\x00\x00" + bytes(40), "an Arrow file"),
    "pickle": (pickle.dumps([{"word": "cat"}]), "a pickle of Python"),
    "old pickle": (pickle.dumps({"word": "cat"}, 2), "a pickle of Python"),
    "sqlite": (sqlite(), "an SQLite database"),
    "noise": (b"abc\x00\x01" * 20, "not text: its first byte that is not text is 0x00, at byte 3"),
    "records under another name": (pack(1 << 21, STROKES), "must be named .bin"),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_another_kind_of_file_is_told_with_what_to_do(tmp_path: Path, kind: str) -> None:
    content, said = STRANGE[kind]
    for name, packed in (("cat.ndjson", content), ("cat.ndjson.gz", gzip.compress(content)),
                         ("cat.jsonl.zst", zstandard.compress(content))):  # fmt: skip
        path = tmp_path / name
        path.write_bytes(packed)
        message = refused(path)
        assert message.startswith(f"{path}: ")
        if kind != "gzip twice" or name == "cat.ndjson":
            assert said in message
        assert "\n" not in message


def test_every_way_to_read_refuses_it(tmp_path: Path) -> None:
    path = tmp_path / "cat.ndjson"
    path.write_bytes(zipped())
    sources = find_sources([str(path)])
    ways = (
        lambda: build(path, tmp_path / "out"),
        lambda: estimate_build(sources, BuildOptions()),
        lambda: list(read_named([str(path)])),
        lambda: read_drawings(path),
    )
    for way in ways:
        with pytest.raises(InputError, match=f"^{path}: a zip archive; unpack it first: unzip FILE$"):
            way()


def test_a_pipe_is_looked_at_and_read(tmp_path: Path) -> None:
    for content in (
        TEXT,
        JSON["an object a line"].encode(),
        kaggle_csv(LINES),
        gzip.compress(JSON["pretty-printed"].encode()),
    ):
        path = tmp_path / "cat.json"
        path.write_bytes(content)
        expected = read(path)
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(content,))
        writer.start()
        assert read(pipe) == expected
        assert expected[0]
        writer.join()
        pipe.unlink()


@pytest.mark.parametrize(
    "kind", [kind for kind in STRANGE if kind not in ("csv", "arrow", "noise", "pickle", "records under another name")]
)
def test_a_binary_file_of_another_kind_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "cat.bin"
    path.write_bytes(STRANGE[kind][0])
    if kind not in ("old pickle", "gzip twice"):
        assert STRANGE[kind][1] in refused(path)


def test_text_under_the_name_of_records_is_told() -> None:
    page = refusal(b"<!DOCTYPE html><html></html>", "cat.bin", is_binary=True)
    assert page is not None
    assert page.startswith("a web page or XML")
    assert refusal("<html>Größe</html>".encode(), "cat.bin", is_binary=True) == page
    for text in (TEXT, JSON["an object a line"].encode()):
        assert (
            refusal(text, "cat.bin", is_binary=True)
            == "text, though its name ends in .bin; name it .ndjson if it is ndjson"
        )


@pytest.mark.parametrize(
    "magic", [b"PK\x03\x04", b"\xff\xfe", b"BZh", b"GIF89a", b"%PDF-1.4", b'{\0"\0w\0o\0', b'[{"a": 1']
)
def test_records_may_begin_with_any_key(tmp_path: Path, magic: bytes) -> None:
    path = tmp_path / "cat.bin"
    key = int.from_bytes(magic.ljust(8, b"\1"), "little")
    path.write_bytes(pack(key, STROKES))
    found, rejects = read(path)
    assert [one["key_id"] for one in found] == [key]
    assert rejects == []


@pytest.mark.parametrize(
    "first",
    [b"PAR2\n", b"oops, what\n", b"\x00\x01\x02\n", b"a\xff\n", b"[1, 2]\n", b"\n\n", b"#,#\n", b"\xef\xbb\xbf"],
)
def test_a_first_line_that_is_bad_costs_one_line(tmp_path: Path, first: bytes) -> None:
    path = tmp_path / "cat.ndjson"
    path.write_bytes(first + TEXT)
    found, rejects = read(path)
    assert len(found) == 20
    assert len(rejects) == (len(first.strip(b"\n\xef\xbb\xbf")) > 0)


def test_folders_are_searched_for_kaggle_s_csv_and_sketch_rnn_s_npz(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "dog.csv").write_bytes(kaggle_csv(LINES))
    (folder / "dog2.csv.gz").write_bytes(gzip.compress(kaggle_csv(LINES)))
    sketch_rnn(folder / "my thing.full.npz", train=[stroke_3(STROKES)])
    (folder / "other.csv").write_text("id,name\n1,cat\n")
    (folder / "names.json").write_text("[]")
    np.savez(folder / "other.npz", x=np.zeros(3))
    found = find_sources([str(folder)])
    assert [(source.path.name, source.declared) for source in found] == [
        ("dog.csv", "dog"), ("dog2.csv.gz", None), ("my thing.full.npz", "my thing")
    ]  # fmt: skip
