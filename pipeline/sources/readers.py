"""TEMPORARY ADAPTER."""

import dataclasses
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.drawings import Drawings
from pipeline.sources import ndjson
from pipeline.sources.chunks import Chunk, read_chunks
from pipeline.sources.files import Source
from pipeline.sources.rejects import Reject
from pipeline.sources.streams import open_stream


@dataclass(frozen=True)
class ScannedChunk:
    drawings: Drawings
    ends: np.ndarray
    end: int
    lines: int
    _rejects: list

    def rejects(self, name: str, lines: int) -> list[Reject]:
        return [dataclasses.replace(r, line=r.line + lines) for r in self._rejects]


def read_source(source: Source, *, start: int = 0, chunk_bytes: int) -> Iterator[Chunk]:
    with open_stream(source.path) as stream:
        yield from read_chunks(stream, start=start, chunk_bytes=chunk_bytes)


def scan_source(source: Source, chunk: Chunk) -> ScannedChunk:
    text = chunk.text.tobytes()
    passed = chunk.too_long is not None
    old = ndjson.Chunk(text, chunk.offset, chunk.end, int(passed), (chunk.too_long, 0) if passed else None, [])
    s = ndjson.scan_chunk(old, source.name)
    return ScannedChunk(s.drawings, s.ends, chunk.end, text.count(b"\n") + passed, s.rejects)


def source_hash(blocks: list[str]) -> str:
    return hashlib.sha256(b"".join(bytes.fromhex(b) for b in blocks)).hexdigest()


def read_head(source: Source, count: int):
    """The whole lines in the first `count` bytes, and the bytes of all, decompressed."""
    size = source.path.stat().st_size
    with open_stream(source.path) as stream:
        chunk = next(read_chunks(stream, chunk_bytes=1 << 20))
        ratio = stream.offset / max(1, stream.file_offset) if stream.format != "plain" else 1
    return chunk, int(size * ratio)
