"""Proves by their hashes that sources still hold what shards were built from."""

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from pipeline.errors import InputError
from pipeline.progress import Progress, untold
from pipeline.shards.manifest import SourceCount
from pipeline.shards.tally import Tally
from pipeline.sources.chunks import BLOCK_BYTES
from pipeline.sources.files import Source
from pipeline.sources.readers import read_source
from pipeline.threads import ordered_map

HASHING = "hashing sources"


@dataclass(frozen=True)
class Claim:
    """A source and what it is said to hold.

    Attributes:
        source: the source.
        count: its bytes and its hash in the manifest.
        is_whole: whether nothing may follow those bytes.
    """

    source: Source
    count: SourceCount
    is_whole: bool


def holds(claim: Claim, told: Callable[[int], object] = lambda _bytes: None) -> bool:
    """Whether a source holds what is claimed; one that cannot be read or is damaged does not.

    Args:
        claim: the source and its hash.
        told: is called with how many bytes were read since the last call.
    """
    blocks: list[str] = []
    at, end = 0, claim.count.bytes
    try:
        for chunk in read_source(claim.source):
            if chunk.damage is not None:
                return False
            blocks += chunk.block_hashes()
            told(chunk.end - at)
            at = chunk.end
            if at > end and claim.is_whole:
                return False
            if at >= end and not claim.is_whole:
                break
    except InputError:
        return False
    del blocks[-(-end // BLOCK_BYTES) :]
    return at >= end and Tally(blocks=blocks).hash == claim.count.hash


def all_hold(claims: Sequence[Claim], *, workers: int = 1, progress: Progress = untold) -> bool:
    """Whether all sources hold what is claimed; the first that does not ends the work.

    Args:
        claims: the sources and their hashes.
        workers: how many sources are read at a time.
        progress: is called with the bytes read so far.
    """
    total = sum(claim.count.bytes for claim in claims)
    counting, read, is_over = threading.Lock(), 0, False

    def told(count: int) -> None:
        nonlocal read
        if is_over:
            raise InputError("another source differs")  # `holds` ends
        with counting:
            read += count
            progress(HASHING, read, total, unit="B")

    progress(HASHING, 0, total, unit="B")
    with closing(ordered_map(lambda claim: holds(claim, told), claims, workers)) as results:
        try:
            return all(results)
        finally:
            is_over = True
