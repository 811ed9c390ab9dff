"""The options of a build, and how much it does at a time."""

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.errors import UsageError
from pipeline.shards.manifest_fields import MOST_SHARDS
from pipeline.shards.shuffle import canonical_splits
from pipeline.sources.chunks import CHUNK_BYTES
from pipeline.threads import core_count

_MOST_WORKERS = 512  # each holds inputs and results in memory; more threads than cores gain nothing


@dataclass(frozen=True)
class BuildOptions:
    """The options on which, beside the drawings, the bytes of the shards depend.

    Attributes:
        classes: the words to take; None takes every word.
        drawings_per_class: how many to take of each class; None takes all.
        skip_per_class: how many of each class to skip before those.
        recognized_only: leave out drawings that Google's network did not recognize, or for which that is unknown.
        leave_out: key_ids of drawings to leave out, in ascending order.
        num_shards: shards of the training split; None makes one for each million drawings.
        splits: shares of train, validation and test, in the form of `canonical_splits`.
        seed: the seed of the order; the splits do not depend on it.
    """

    classes: tuple[str, ...] | None = None
    drawings_per_class: int | None = None
    skip_per_class: int = 0
    recognized_only: bool = False
    num_shards: int | None = None
    splits: str = "0.8,0.1,0.1"
    seed: int = 0
    leave_out: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "splits", canonical_splits(self.splits))  # the dataclass is frozen
        for name, least in (("drawings_per_class", 1), ("skip_per_class", 0), ("num_shards", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} {value}: expected {least} or more")
            if value is not None and value >= 1 << 63:
                raise UsageError(f"{name} {value}: expected less than 2**63")
        if not 0 <= self.seed < 1 << 64:
            raise UsageError(f"seed {self.seed}: expected a whole number from 0 to 2**64 - 1")
        if self.num_shards is not None and self.num_shards > MOST_SHARDS:
            raise UsageError(f"num_shards {self.num_shards}: expected at most {MOST_SHARDS}")
        if self.classes is not None and not self.classes:
            raise UsageError("classes: expected one or more, or None for all")
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            raise UsageError("a class is named twice")
        if any(not 0 <= key_id < 1 << 64 for key_id in self.leave_out):
            raise UsageError("leave_out: expected whole numbers from 0 to 2**64 - 1")

    def stored(self) -> dict[str, Any]:
        """The options as files store them; `leave_out` only if it is not empty, as versions without it stored them."""
        fields = asdict(self)
        if not self.leave_out:
            del fields["leave_out"]
        return fields


@dataclass(frozen=True)
class BuildSizes:
    """How much a build does at a time. Only the two sizes of row groups change a byte of the shards.

    Attributes:
        chunk_bytes: how many bytes of a source are read at a time, a multiple of `BLOCK_BYTES`.
        segment_bytes: how many bytes of memory drawings take, about 45,000 of them, before they are written to the
            spill.
        segment_input_bytes: how many bytes of input are read at most between two entries of the journal, however few
            of their drawings are kept.
        range_bytes: how many bytes of records of one range of hashes are held; a larger range is read in pieces.
        row_group_rows: drawings in each row group but the last.
        row_group_bytes: the most in a row group of fewer drawings: one counts 40 bytes, 2 a point and 16 a stroke.
    """

    chunk_bytes: int = CHUNK_BYTES
    segment_bytes: int = 8 << 20
    segment_input_bytes: int = 256 << 20
    range_bytes: int = 32 << 20
    row_group_rows: int = 8192
    row_group_bytes: int = 24 << 20


USUAL_SIZES = BuildSizes()


def worker_count(workers: int | None) -> int:
    """How many threads to use: as many as asked for, or the machine's cores.

    Raises:
        UsageError: `workers` is below 1 or above 512.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"workers {workers}: expected 1 or more")
    if workers is not None and workers > _MOST_WORKERS:
        raise UsageError(f"workers {workers}: expected at most {_MOST_WORKERS}")
    return workers or core_count()
