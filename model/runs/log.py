"""`metrics.jsonl`: a JSON object a line, one for each epoch, for people and charts.

Nothing is trained or predicted by it, so it has no checksum. A line that cannot be read is passed over and stays as it
is: it may be mended by hand.
"""

import json
from pathlib import Path
from typing import Any

from pipeline.storage import write_atomically


def append_metrics(path: Path, metrics: dict[str, Any]) -> None:
    """Append the line of an epoch; lines of it and of later ones, from before a crash, are removed.

    Raises:
        OSError: it cannot be written; the lines before stand.
    """
    kept = [line for line in _lines(path) if (read := _read(line)) is None or read["epoch"] < metrics["epoch"]]
    write_atomically(path, b"".join(line + b"\n" for line in [*kept, json.dumps(metrics).encode()]))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The metrics of each epoch, in the order of the lines; none where there is no file."""
    return [read for line in _lines(path) if (read := _read(line)) is not None]


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


def _read(line: bytes) -> dict[str, Any] | None:
    """A line; None where it is none of ours."""
    try:
        read = json.loads(line)
    except (ValueError, RecursionError):  # a UnicodeDecodeError is a ValueError
        return None
    return read if isinstance(read, dict) and type(read.get("epoch")) is int else None
