"""What a build has done so far, line by line, so that the next process goes on where a killed one stopped."""

import json
from pathlib import Path
from typing import Any

from pipeline.storage import Output

Entry = dict[str, Any]


class Journal:
    """A file of JSON lines behind a first one that says whose work it is.

    Attributes:
        entries: what an earlier process noted of the same work, in order.
    """

    def __init__(self, path: Path, work: Entry) -> None:
        self.entries: list[Entry] = []
        whole = 0
        if path.exists():
            entries, ends = _read(path)
            if entries and entries[0] == json.loads(json.dumps(work)):
                self.entries, whole = entries[1:], ends[-1]
        self._file = Output(path, keep=whole)
        if not whole:
            self._write(work)

    def append(self, entry: Entry) -> None:
        """Note that something is done, after it is on the disk itself."""
        self._write(entry)
        self._file.sync()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, entry: Entry) -> None:
        self._file.write(json.dumps(entry).encode() + b"\n")


def _read(path: Path) -> tuple[list[Entry], list[int]]:
    """The entries up to the first that is not whole, and the byte behind each."""
    entries, ends, end = [], [], 0
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            entry = json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n") or not isinstance(entry, dict):
            break
        end += len(line)
        entries.append(entry)
        ends.append(end)
    return entries, ends
