"""Reads and appends to `metrics.jsonl`: one JSON object for each epoch, for people and charts.

Neither training nor prediction uses the file, so it has no checksum. A line that cannot be read is skipped and kept as
it is, because somebody may repair it by hand. JAX is not imported here, because `sketchpipe runs` reads the file.
"""

import json
from pathlib import Path
from typing import Any

from model.runs.card import MOST_EPOCHS
from pipeline.storage.files import write_atomically
from pipeline.storage.reading import read_limited

_LIMIT = 1 << 28  # bytes of a `metrics.jsonl`; that of 1,000 epochs has 600,000


def append_metrics(path: Path, metrics: dict[str, Any]) -> None:
    """Append the line of an epoch; lines of that epoch and of later ones, from before a crash, are removed.

    Raises:
        OSError: it cannot be written; the file is unchanged.
    """
    lines = read_limited(path, _LIMIT, link=False).splitlines() if path.exists() else []
    kept = [line for line in lines if (read := _read(line)) is None or read["epoch"] < metrics["epoch"]]
    write_atomically(path, b"".join(line + b"\n" for line in [*kept, json.dumps(metrics).encode()]))


def read_log(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """The metrics of each epoch, in their order, and the numbers, from 1, of the lines that are skipped.

    Raises:
        OSError: it does not exist or cannot be read.
    """
    epochs: list[dict[str, Any]] = []
    skipped = []
    for count, line in enumerate(read_limited(path, _LIMIT, link=False).splitlines(), start=1):
        read = _read(line)
        if read is not None and (not epochs or read["epoch"] > epochs[-1]["epoch"]):
            epochs.append(read)
        else:
            skipped.append(count)
    return epochs, skipped


def _read(line: bytes) -> dict[str, Any] | None:
    """The object of a line; None if it is not the metrics of an epoch."""
    try:
        read = json.loads(line)
    except (ValueError, RecursionError):  # a UnicodeDecodeError is a ValueError
        return None
    epoch = read.get("epoch") if isinstance(read, dict) else None
    return read if type(epoch) is int and 0 <= epoch < MOST_EPOCHS else None
