"""Shards opened for reading, their footers proved and kept: a footer takes half as long to parse as a row group."""

import hashlib
import os
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.shards.manifest import ShardFile

KEPT_FOOTERS = 64  # about 0.9 MB each of a shard of a million drawings; a lane needs those of few shards at a time

_Identity = tuple[object, ...]
_footers: dict[_Identity, pq.FileMetaData] = {}
_keeping = threading.Lock()
_opened = threading.local()


def open_shard(path: Path, expected: ShardFile) -> pq.ParquetFile:
    """The calling thread's own reader of a shard, because a ParquetFile must not be shared by threads.

    It is of the file that lies at `path` now, whose footer is the manifest's.

    Raises:
        OSError: it cannot be opened.
        ValueError: its size or its footer is not what is expected.
    """
    identity = (path, expected, _state(path.stat()))
    if getattr(_opened, "identity", None) != identity:
        source = pa.OSFile(os.fsencode(path))  # not the path, which pyarrow would want in UTF-8
        # Of the file that was opened, which may be another than the one asked for a moment ago.
        identity = (path, expected, _state(os.fstat(source.fileno())))
        metadata = _footers.get(identity) or _read_footer(source, expected, identity)
        _opened.file = pq.ParquetFile(source, metadata=metadata, page_checksum_verification=True)
        _opened.identity = identity
    file: pq.ParquetFile = _opened.file
    return file


def _state(stat: os.stat_result) -> tuple[int, ...]:
    return stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size


def _read_footer(source: pa.OSFile, expected: ShardFile, identity: _Identity) -> pq.FileMetaData:
    size = source.size()
    if size != expected.bytes:
        raise ValueError(f"{size} bytes, {expected.bytes} in the manifest")
    source.seek(size - expected.footer_bytes)
    footer = source.read(expected.footer_bytes)
    if hashlib.sha256(footer).hexdigest() != expected.footer_sha256:
        raise ValueError("its footer is not the manifest's")
    metadata = pq.read_metadata(pa.BufferReader(footer))
    with _keeping:
        _footers[identity] = metadata
        while len(_footers) > KEPT_FOOTERS:
            del _footers[next(iter(_footers))]
    return metadata
