"""Decides which shards a build writes and what they are called; no input or output."""

from dataclasses import dataclass

from pipeline.arrays import Int64Array
from pipeline.shards.shuffle import SPLITS

ROWS_PER_SHARD = 1 << 20


@dataclass(frozen=True)
class ShardPlan:
    """One shard to write: number `index` of the `count` shards of a split (an index into `SPLITS`)."""

    split: int
    index: int
    count: int

    @property
    def name(self) -> str:
        """The file's name, which Hugging Face's `datasets` and others understand without configuration."""
        return f"{SPLITS[self.split]}-{self.index:05d}-of-{self.count:05d}.parquet"

    @staticmethod
    def of_name(name: str) -> "ShardPlan":
        """The shard with this file name."""
        split, index, _, count = name.removesuffix(".parquet").split("-")
        return ShardPlan(SPLITS.index(split), int(index), int(count))


def plan_shards(rows_of_split: Int64Array, num_shards: int | None) -> list[ShardPlan]:
    """The shards of each split that has rows: `num_shards` for the first, and shards of as many rows for the others.

    If `num_shards` is None, each split has one shard for every `ROWS_PER_SHARD` rows.
    """
    rows = [int(count) for count in rows_of_split]
    counts = [-(-count // ROWS_PER_SHARD) for count in rows]
    if num_shards is not None and rows[0]:
        counts = [-(-count * num_shards // rows[0]) for count in rows]
    return [ShardPlan(split, index, count) for split, count in enumerate(counts) for index in range(count)]
