"""Parses chunks of sources, and finds the partition of the spill that each drawing belongs to; threads may share it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Int64Array
from pipeline.errors import InputError
from pipeline.shards.layout import ShardPlan
from pipeline.shards.options import BuildOptions
from pipeline.shards.shuffle import order_hash, parse_splits, part_of, partition_of, split_of
from pipeline.shards.spill import RANGES
from pipeline.shards.twins import keyless_in
from pipeline.sources.chunks import Chunk, Scanned
from pipeline.sources.files import Source
from pipeline.sources.readers import scan_source


@dataclass(frozen=True)
class Parsed:
    """A chunk after a worker has parsed it.

    Attributes:
        source: the number of its source.
        scanned: its drawings and rejects, or the error if the source cannot be read.
        partition: (N,) int64, the partition of the spill that each drawing belongs to.
        keyless: (N,) bool, which drawings have their content hash for a key_id.
        blocks: the XXH64 of each block that was read for it, in hex.
    """

    source: int
    scanned: Scanned | InputError
    partition: Int64Array
    keyless: NDArray[np.bool_]
    blocks: list[str]


class Parser:
    """Parses chunks of the sources of one build; with `only`, all drawings that are in none of these shards get -1."""

    def __init__(
        self, sources: Sequence[Source], options: BuildOptions, only: Sequence[ShardPlan] | None = None
    ) -> None:
        self._sources, self._seed, self._only = sources, options.seed, only
        self._splits = parse_splits(options.splits)

    def parse(self, item: tuple[int, Chunk | InputError]) -> Parsed:
        """Parse a chunk of the source with this number, or pass on the error of a source that cannot be read."""
        index, chunk = item
        if isinstance(chunk, InputError):
            return Parsed(index, chunk, np.empty(0, np.int64), np.empty(0, np.bool_), [])
        scanned = scan_source(self._sources[index], chunk)
        key_id = scanned.drawings.key_id
        partition = partition_of(key_id, self._seed, self._splits, RANGES)
        if self._only is not None:
            hashes, split = order_hash(key_id, self._seed), split_of(key_id, self._splits)
            wanted = [(split == plan.split) & (part_of(hashes, plan.count) == plan.index) for plan in self._only]
            partition[~np.any(wanted, axis=0)] = -1
        return Parsed(index, scanned, partition, keyless_in(scanned), chunk.block_hashes())
