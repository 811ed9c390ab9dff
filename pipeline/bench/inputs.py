"""Makes the file of ndjson that the bench measures, of doodles or of the drawings of shards."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.bench.replicas import KeyIds, Template, repeat_lines
from pipeline.sample.doodles import SAMPLE_WORDS, sample_line
from pipeline.shards.read import ShardSplit
from pipeline.sources.files import Source

LINES = 1000  # different lines, at most


@dataclass(frozen=True)
class Text:
    """A file of ndjson.

    Attributes:
        source: the file.
        drawings: how many drawings it has.
        bytes: its size in bytes.
    """

    source: Source
    drawings: int
    bytes: int

    @property
    def bytes_per_line(self) -> float:
        """The mean length of a line."""
        return self.bytes / self.drawings


def doodle_lines() -> list[bytes]:
    """Lines of the built-in sample, from all its classes."""
    each = LINES // len(SAMPLE_WORDS)
    return [sample_line(word, number, seed=0).encode() for number in range(each) for word in SAMPLE_WORDS]


def lines_of(split: ShardSplit) -> list[bytes]:
    """The first drawings of a split as lines that are as long as Google's."""
    drawings = split.read_row_group(0)
    fields = {"countrycode": "US", "timestamp": "2017-03-02 23:25:10.07453 UTC", "recognized": True, "key_id": "0"}
    lines = []
    for k, label in enumerate(drawings.word[:LINES].tolist()):
        line = {"word": drawings.words[label], **fields, "drawing": drawings.strokes(k)}
        lines.append(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    return lines


def write_text(path: Path, lines: Sequence[bytes], size: int) -> Text:
    """Write all lines, and repeat them while they fit into `size` bytes; every key_id occurs once."""
    templates = [Template.of(line) for line in lines]
    size = max(size, sum(template.bytes for template in templates))
    written = drawings = 0
    with path.open("wb", buffering=1 << 20) as file:
        for line in repeat_lines(templates, size, KeyIds()):
            written += file.write(line)
            drawings += 1
    return Text(Source(path, path.name, None), drawings, written)
