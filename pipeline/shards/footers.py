"""Opens shards, checks their footers and keeps these parsed: parsing one takes half as long as a row group."""

import hashlib
import os
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.shards.manifest import ShardFile
from pipeline.storage.reading import open_regular
from pipeline.wording import counted

KEPT_ROW_GROUPS = 8192  # in the kept footers, about 8 kB each: 64 lanes return to every shard again and again
_NAMES_DESCRIPTORS = Path("/dev/fd").is_dir()  # missing where /proc is not mounted

_Identity = tuple[object, ...]
_footers: dict[_Identity, pq.FileMetaData] = {}
_keeping = threading.Lock()
_opened = threading.local()


def open_shard(path: Path, expected: ShardFile) -> pq.ParquetFile:
    """The calling thread's own reader of a shard, because a ParquetFile must not be shared by threads.

    It reads the file that is at `path` now; the footer is checked against the manifest.

    Raises:
        UnfitFileError: it is no regular file, nor a link to one.
        OSError: the file cannot be opened.
        ValueError: its size or its footer is not the expected one.
    """
    identity = (path, expected, _state(path.stat()))
    if getattr(_opened, "last", (None,))[0] != identity:
        source, state = _open(path)
        identity = (path, expected, state)  # of the file that was opened, which may have replaced the one before
        metadata = _kept_footer(identity) or _read_footer(source, expected, identity)
        opened = identity, pq.ParquetFile(source, metadata=metadata, page_checksum_verification=True)
        _opened.last = opened  # one assignment, so that an interruption cannot separate the two
    file: pq.ParquetFile = _opened.last[1]
    return file


def _open(path: Path) -> tuple[pa.OSFile, tuple[int, ...]]:
    """Open a shard, and say which file it is, without waiting: pyarrow would wait for a pipe, beyond any signal.

    pyarrow takes no descriptor, but the path of one, which is the very file that was looked at.
    """
    with open_regular(path, link=True) as looked_at:
        # As bytes: pyarrow takes a path only in UTF-8.
        name = b"/dev/fd/%d" % looked_at.fileno() if _NAMES_DESCRIPTORS else os.fsencode(path)
        return pa.OSFile(name), _state(os.fstat(looked_at.fileno()))


def _kept_footer(identity: _Identity) -> pq.FileMetaData | None:
    """The footer, if it is kept; it becomes the last to be dropped."""
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
        raise ValueError(f"{counted(size, 'byte')}, but {expected.bytes} in the manifest")
    source.seek(size - expected.footer_bytes)
    footer = source.read(expected.footer_bytes)
    if hashlib.sha256(footer).hexdigest() != expected.footer_sha256:
        raise ValueError("its footer does not match the manifest")
    metadata = pq.read_metadata(pa.BufferReader(footer))
    with _keeping:
        _footers[identity] = metadata
        row_groups = sum(kept.num_row_groups for kept in _footers.values())
        while row_groups > KEPT_ROW_GROUPS and len(_footers) > 1:
            row_groups -= _footers.pop(next(iter(_footers))).num_row_groups
    return metadata
