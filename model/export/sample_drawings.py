"""The drawings on which an export is checked: the first of a split, or of the built-in sample without shards."""

import json
from collections.abc import Iterator

from pipeline.drawings import Drawings, from_strokes
from pipeline.sample.doodles import SAMPLE_WORDS, sample_line
from pipeline.shards.read import ShardSplit


def sample_drawings(wanted: int) -> Drawings:
    """The first `wanted` synthetic drawings, of each of the sample's words in turn."""
    words = [SAMPLE_WORDS[place % len(SAMPLE_WORDS)] for place in range(wanted)]
    lines = [json.loads(sample_line(word, place // len(SAMPLE_WORDS))) for place, word in enumerate(words)]
    return from_strokes([line["drawing"] for line in lines], words)


def first_drawings(split: ShardSplit, wanted: int) -> Iterator[Drawings]:
    """The first `wanted` drawings of a split, or all if it has fewer, a row group at a time."""
    for group in range(len(split.row_groups)):
        if not wanted:
            return
        drawings = split.read_row_group(group).slice(0, min(wanted, split.rows_in(group)))
        wanted -= len(drawings)
        yield drawings
