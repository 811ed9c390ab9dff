"""Opens shards, checks their footers and keeps these parsed: parsing one takes half as long as a row group."""

import hashlib
import os
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.shards.manifest import ShardFile

KEPT_ROW_GROUPS = 8192  # in footers, about 8 kB each: 64 lanes come round to every shard again and again

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
    if getattr(_opened, "last", (None,))[0] != identity:
        source = pa.OSFile(os.fsencode(path))  # not the path, which pyarrow would want in UTF-8
        # Of the file that was opened, which may be another than the one asked for a moment ago.
        identity = (path, expected, _state(os.fstat(source.fileno())))
        metadata = _kept_footer(identity) or _read_footer(source, expected, identity)
        opened = identity, pq.ParquetFile(source, metadata=metadata, page_checksum_verification=True)
        _opened.last = opened  # at once, so that an interruption cannot part the two
    file: pq.ParquetFile = _opened.last[1]
    return file


def _kept_footer(identity: _Identity) -> pq.FileMetaData | None:
    """A footer that was read before; it is the last to be forgotten from now on."""
    with _keeping:
        metadata = _footers.pop(identity, None)
        if metadata is not None:
            _footers[identity] = metadata
        return metadata


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
        row_groups = sum(kept.num_row_groups for kept in _footers.values())
        while row_groups > KEPT_ROW_GROUPS and len(_footers) > 1:
            row_groups -= _footers.pop(next(iter(_footers))).num_row_groups
    return metadata
