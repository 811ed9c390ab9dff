"""Estimates rows, disk and time of a build from the heads of its sources."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import first_calls
from pipeline.drawings import Drawings, concat
from pipeline.errors import OutputError
from pipeline.hashing import mix64
from pipeline.shards.options import USUAL_SIZES, BuildOptions
from pipeline.shards.records import record_sizes
from pipeline.shards.schema import SCHEMA, WRITER_OPTIONS, to_table
from pipeline.shards.twins import HASH_BYTES, keyless_in
from pipeline.sources.chunks import Scanned
from pipeline.sources.files import Source
from pipeline.sources.readers import is_compressed, read_head, scan_source
from pipeline.storage.commit import BUILD
from pipeline.storage.files import disk_free

_AMPLE = 64  # times the size of plain inputs: if that much is free, every build fits
_HEADS = 400  # at most so many sources are read; of more, evenly spaced ones represent all
_NAME_BYTES = 3  # of word and countrycode in a row; the sampled rows are written without them


@dataclass(frozen=True)
class Estimate:
    """Estimated size and time of a build.

    Attributes:
        input_bytes: bytes that will be read, decompressed.
        drawings: how many will be in the shards if there are no duplicates.
        spill_bytes: the size of the spill, which is on disk until the build is committed.
        shard_bytes: the size of the shards.
        seconds: with one worker.
    """

    input_bytes: int
    drawings: int
    spill_bytes: int
    shard_bytes: int
    seconds: float

    @property
    def disk_bytes(self) -> int:
        """How much must be free on the disk of the target folder."""
        return self.spill_bytes + self.shard_bytes


@dataclass(frozen=True)
class _Head:
    """The beginning of one source, from which the whole is estimated.

    Attributes:
        scanned: its drawings and rejects.
        bytes: its length.
        total_bytes: the size of the source, decompressed.
    """

    scanned: Scanned
    bytes: int
    total_bytes: int


def estimate_build(sources: Sequence[Source], options: BuildOptions) -> Estimate:
    """Estimate a build from the heads of its sources, which are files: a pipe would lose its head.

    Raises:
        InputError: a source cannot be read.
    """
    step = -(-len(sources) // _HEADS)
    looked_at = sources[::step]
    _read(looked_at[0])  # read again below, where it is timed: the first call loads the kernels
    start, first = time.perf_counter(), first_calls.seconds()
    heads = [_read(source) for source in looked_at]
    loading = first_calls.seconds() - first  # of the kernels for sources of other formats
    parse_seconds = time.perf_counter() - start - loading
    read_bytes = rows = records = 0.0
    for source, head in zip(looked_at, heads, strict=True):
        wanted, share = _wanted(source, head, options)
        rows += wanted
        read_bytes += share * head.total_bytes
        drawings = head.scanned.drawings
        records += wanted * (record_sizes(drawings).mean() if len(drawings) else 0)
    row_bytes, row_seconds = _cost_of_row([head.scanned.drawings for head in heads])
    scale = _disk_bytes(sources) / max(1, _disk_bytes(looked_at))
    sampled = max(1, sum(head.bytes for head in heads))
    seconds = scale * (read_bytes * parse_seconds / sampled + rows * row_seconds)
    keyless = np.concatenate([keyless_in(head.scanned) for head in heads])
    if keyless.any() and not keyless.all():
        records += rows * HASH_BYTES
    return Estimate(
        int(scale * read_bytes), int(scale * rows), int(scale * records), int(scale * rows * row_bytes), seconds
    )


def check_space(folder: Path, sources: Sequence[Source], options: BuildOptions) -> Estimate | None:
    """Refuse a build that cannot fit on the disk of `folder`; files that an earlier process left there count as free.

    Pipes can be read only once, so that only files are looked at: it is refused if these alone do not fit.

    Returns:
        The estimate; None if a source is no file, or none is needed, because much is free and no file is compressed.

    Raises:
        InputError: a source cannot be read.
        OutputError: the build cannot fit.
    """
    files = [source for source in sources if source.is_file]
    ample = free_bytes(folder) > _AMPLE * _disk_bytes(files)
    if not files or (ample and not any(is_compressed(source) for source in files)):
        return None
    needed = estimate_build(files, options)
    refuse_lack_of_space(folder, needed)
    return needed if len(files) == len(sources) else None


def refuse_lack_of_space(folder: Path, needed: Estimate) -> None:
    """Raise an error if a build does not fit on the disk of `folder`.

    Raises:
        OutputError: the build cannot fit.
    """
    free = free_bytes(folder)
    if needed.disk_bytes > free:
        raise OutputError(
            f"{folder}: the build needs about {needed.disk_bytes:,} bytes on its disk ({needed.shard_bytes:,} for the "
            f"shards, {needed.spill_bytes:,} for temporary files), but {free:,} are free; make room or choose another "
            "disk with --to"
        )


def free_bytes(folder: Path) -> int:
    """How much is free on the disk of a folder, which may not exist yet, plus what an earlier build left in it."""
    left = sum(file.stat().st_size for file in (folder / BUILD).rglob("*") if file.is_file())
    return disk_free(folder) + left


def _disk_bytes(sources: Sequence[Source]) -> int:
    return sum(source.path.stat().st_size for source in sources)


def _read(source: Source) -> _Head:
    chunk, total_bytes = read_head(source)
    return _Head(scan_source(source, chunk), len(chunk.text), total_bytes)


def _wanted(source: Source, head: _Head, options: BuildOptions) -> tuple[float, float]:
    """How many drawings of a source will be taken, and what share of the source will be read for them."""
    drawings = head.scanned.drawings
    if not len(drawings):
        return 0.0, 1.0
    rows = len(drawings) * head.total_bytes / max(1, head.bytes)
    known = np.array([options.classes is None or word in options.classes for word in drawings.words], np.bool_)
    taken = known[drawings.word]
    if options.recognized_only:
        taken &= drawings.recognized == 1
    share = float(taken.mean())
    wanted = rows * share
    if options.drawings_per_class is None:
        return max(0.0, wanted - options.skip_per_class), 1.0
    last = options.skip_per_class + options.drawings_per_class
    words = len(drawings.words)
    read = min(1.0, last / max(wanted, 1e-9)) if source.declared is not None and words == 1 else 1.0
    return max(0.0, min(wanted, last * words) - options.skip_per_class * words), read if share else 0.0


def _cost_of_row(parts: Sequence[Drawings]) -> tuple[float, float]:
    """Bytes and seconds of a row in a shard, measured by writing some rows."""
    nameless = [
        dataclasses.replace(part, word=part.word * 0, words=["word"], countrycode=part.countrycode * 0 - 1,
                            countrycodes=[])
        for part in parts if len(part)
    ]  # fmt: skip
    if not nameless:
        return 0.0, 0.0
    each = max(1, USUAL_SIZES.row_group_rows // len(nameless))
    some = concat([part.slice(0, min(each, len(part))) for part in nameless])
    some = some.take(np.argsort(mix64(some.key_id)))  # shuffled, as in shards: in order they compress better
    sink = pa.BufferOutputStream()
    start = time.perf_counter()
    with pq.ParquetWriter(sink, SCHEMA, **WRITER_OPTIONS) as writer:
        writer.write_table(to_table(some))
    seconds = time.perf_counter() - start
    return sink.getvalue().size / len(some) + _NAME_BYTES, seconds / len(some)
