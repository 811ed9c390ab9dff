"""The same drawings in other kinds of files, written as the programs write them that people have them from."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.sources.files import Source, word_of_name
from pipeline.sources.readers import read_source, scan_source
from pipeline.sources.rejects import Reject
from tests.sources.naive_ndjson import records

KAGGLE = ("countrycode", "drawing", "key_id", "recognized", "timestamp", "word")
LINES = [
    {
        "word": word,
        "countrycode": "DE",
        "timestamp": f"2017-03-08 21:12:{k:02}.26604 UTC",
        "recognized": k % 2 == 0,
        "key_id": str(k + 1 << 21),
        "drawing": [[[k, 2, 255], [3, 4, k]], [[7], [8]]],
    }
    for k, word in enumerate(['say "[}"', "back\\slash", "käse", "cat", "hot dog"])
]
JSON = {
    "an array in one line": json.dumps(LINES),
    "an array without spaces": json.dumps(LINES, separators=(",", ":"), ensure_ascii=False),
    "an object a line": "[\n" + ",\n".join(json.dumps(line) for line in LINES) + "\n]\n",
    "commas first": "[" + "\r\n,".join(json.dumps(line) for line in LINES) + "]",
    "pretty-printed": json.dumps(LINES, indent=2) + "\n",
    "without indentation": json.dumps(LINES, indent=0),
    "under a key": json.dumps({"version": 1, "drawings": LINES, "about": {"by": ["me"], "n": 5}}),
    "under a key, pretty-printed": json.dumps({"drawings": LINES}, indent="\t"),
    "under two keys": json.dumps({"a": LINES[:2], "b": LINES[2:]}),
    "objects of many lines": "\n".join(json.dumps(line, indent=4) for line in LINES),
    "arrays, one after another": json.dumps(LINES[:2]) + "\n" + json.dumps(LINES[2:]),
    "an array, then lines": json.dumps(LINES[:2]) + "\n" + "\n".join(json.dumps(line) for line in LINES[2:]),
    "a byte order mark": "\ufeff" + json.dumps(LINES),
}


def kaggle_csv(lines: Sequence[dict[str, Any]], columns: Sequence[str] = KAGGLE, end: str = "\n") -> bytes:
    """A table as Kaggle's `train_simplified/*.csv`: times without a zone, True and False."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator=end)
    writer.writeheader()
    for line in lines:
        time = line.get("timestamp") and line["timestamp"].removesuffix(" UTC")
        writer.writerow({**line, "drawing": json.dumps(line["drawing"]), "timestamp": time})
    return text.getvalue().encode()


def stroke_3(drawing: Sequence[tuple[Sequence[float], Sequence[float]]], kind: str = "int16") -> np.ndarray[Any, Any]:
    """A drawing as sketch-rnn has it: steps from point to point, and a 1 where a stroke ends."""
    points = np.array([[x, y] for xs, ys in drawing for x, y in zip(xs, ys, strict=True)], np.float64)
    pen = np.concatenate([[0] * (len(xs) - 1) + [1] for xs, _ in drawing])
    return np.column_stack([np.diff(points, axis=0, prepend=0), pen]).astype(kind)


def sketch_rnn(path: Path, **splits: Sequence[Any]) -> Path:
    """A file of sketch-rnn's, as NumPy writes it."""
    arrays = {}
    for split, drawings in splits.items():
        arrays[split] = np.empty(len(drawings), object)
        arrays[split][:] = drawings
    np.savez_compressed(path, **arrays)
    return path


def source_of(path: Path) -> Source:
    """A file as a source."""
    return Source(path, path.name, word_of_name(path.name, ()))


def read(path: Path, **how: int) -> tuple[list[Any], list[Reject]]:
    """All that a source holds: its drawings as `records` gives them, and its rejects."""
    source, found, rejects, lines = source_of(path), [], [], 0
    for chunk in read_source(source, **how):
        scanned = scan_source(source, chunk)
        found += records(scanned)
        rejects += scanned.rejects(source.name, lines)
        lines += scanned.lines
    return found, rejects


def refused(path: Path) -> str:
    """What is said of a file that is refused."""
    try:
        read(path)
    except InputError as error:
        return str(error)
    raise AssertionError(f"{path} was read")
