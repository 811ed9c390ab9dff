"""Images of the built-in sample, on which an export is checked where there are no shards."""

import json

from pipeline.arrays import UInt8Array
from pipeline.drawings import from_strokes
from pipeline.rendering.render import RenderConfig, render
from pipeline.sample.doodles import SAMPLE_WORDS, sample_line


def sample_images(config: RenderConfig, wanted: int) -> UInt8Array:
    """(N, H, W, C) uint8, the first `wanted` synthetic drawings, as many of each of the sample's words."""
    words = [SAMPLE_WORDS[place % len(SAMPLE_WORDS)] for place in range(wanted)]
    lines = [json.loads(sample_line(word, place // len(SAMPLE_WORDS))) for place, word in enumerate(words)]
    return render(from_strokes([line["drawing"] for line in lines], words), config)
