"""Drawings of the built-in sample, on which an export is checked where there are no shards."""

import json

from pipeline.drawings import Drawings, from_strokes
from pipeline.sample.doodles import SAMPLE_WORDS, sample_line


def sample_drawings(wanted: int) -> Drawings:
    """The first `wanted` synthetic drawings, of each of the sample's words in turn."""
    words = [SAMPLE_WORDS[place % len(SAMPLE_WORDS)] for place in range(wanted)]
    lines = [json.loads(sample_line(word, place // len(SAMPLE_WORDS))) for place, word in enumerate(words)]
    return from_strokes([line["drawing"] for line in lines], words)
