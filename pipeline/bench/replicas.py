"""Lines of drawings over and over, each under a key_id of its own: as much ndjson as a measurement needs."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.sample.doodles import SAMPLE_WORDS, sample_line
from pipeline.shards.read import ShardSplit
from pipeline.sources.files import Source

LINES = 1000  # different ones
_KEY_ID = re.compile(rb'"key_id":"(\d+)"')
_KEY_DIGITS = 16
_FIRST_KEY = 1 << 31  # of 2**21: those of sixteen digits begin about here, as Google's do


@dataclass(frozen=True)
class Text:
    """A file of ndjson.

    Attributes:
        source: the file.
        drawings: how many it holds.
        bytes: its size.
    """

    source: Source
    drawings: int
    bytes: int

    @property
    def bytes_per_line(self) -> float:
        """On average."""
        return self.bytes / self.drawings


def doodle_lines() -> list[bytes]:
    """Lines of the built-in sample, of all its classes."""
    each = LINES // len(SAMPLE_WORDS)
    return [sample_line(word, number, seed=0).encode() for number in range(each) for word in SAMPLE_WORDS]


def lines_of(split: ShardSplit) -> list[bytes]:
    """Lines of the first drawings of a split, as long as Google's."""
    drawings = split.read_row_group(0)
    fields = {"countrycode": "US", "timestamp": "2017-03-02 23:25:10.07453 UTC", "recognized": True, "key_id": "0"}
    lines = []
    for k, label in enumerate(drawings.word[:LINES].tolist()):
        line = {"word": drawings.words[label], **fields, "drawing": drawings.strokes(k)}
        lines.append(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    return lines


def write_text(path: Path, lines: Sequence[bytes], size: int) -> Text:
    """Write the lines over and over, once at least, `size` bytes or somewhat more; every key_id stands once."""
    alike = _KEY_ID.sub(b'"key_id":"%s"' % (b"0" * _KEY_DIGITS), b"".join(lines))
    block = np.frombuffer(alike, np.uint8).copy()
    starts = np.array([found.start(1) for found in _KEY_ID.finditer(alike)])
    digits, tens = starts[:, None] + np.arange(_KEY_DIGITS), 10 ** np.arange(_KEY_DIGITS)[::-1]
    written = drawings = 0
    with path.open("wb") as file:
        while not drawings or written < size:
            keys = (_FIRST_KEY + np.arange(drawings, drawings + len(lines))) << 21
            block[digits] = ord("0") + keys[:, None] // tens % 10
            written += file.write(block.data)
            drawings += len(lines)
    return Text(Source(path, path.name, None), drawings, written)
