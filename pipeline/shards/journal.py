"""Records what of a build is done, so that the next process resumes after an interrupted one.

Each line is the CRC-32 of its JSON in eight hexadecimal digits, a space, and the JSON.
"""

import contextlib
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.storage.files import Output
from pipeline.storage.reading import OWN_BYTES, open_regular

Entry = dict[str, Any]
JOURNAL = "journal.ndjson"  # in the folder for the work of a build or a repair
_VERSION = 3  # of the entries; those of another version are other work. Version 2 took rows that no checksum proved


class Journal:
    """A file of entries, the first of which says what work they belong to; `opened` reads it and opens it for more.

    Attributes:
        entries: those that earlier processes wrote for the same work, in order.
    """

    _file: Output

    def __init__(self, path: Path, work: Entry) -> None:
        self.entries: list[Entry] = []
        self._path, self._work = path, {"version": _VERSION, **work}

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Read the entries of the same work, drop damaged ones and other work's, and close the file at the end."""
        whole = 0
        with contextlib.suppress(FileNotFoundError):
            entries, end = _read(self._path)
            if entries and entries[0] == json.loads(json.dumps(self._work)):
                self.entries, whole = entries[1:], end
        self._file = Output(self._path, keep=whole)
        try:
            if not whole:
                self._write(self._work)
            yield
        finally:
            self._file.close()

    def append(self, entry: Entry) -> None:
        """Record that something is done, once it is on disk itself."""
        self._write(entry)
        self._file.sync()

    def forget(self) -> None:
        """Start again: what the entries record is missing or damaged."""
        self._file.close()
        self.entries, self._file = [], Output(self._path)
        self._write(self._work)

    def _write(self, entry: Entry) -> None:
        text = json.dumps(entry).encode()
        for part in (b"%08x " % zlib.crc32(text), text, b"\n"):  # one object would hold a copy of a long text
            self._file.write(part)


def is_of_build(path: Path) -> bool:
    """Whether a file is the journal of an interrupted build, and not of a repair, missing or damaged."""
    try:
        entries, _ = _read(path)
    except OSError:
        return False
    return bool(entries) and "repair" not in entries[0]


def _read(path: Path) -> tuple[list[Entry], int]:
    """The entries before the first damaged one, and the byte after the last of them."""
    entries, end = [], 0
    with io.BufferedReader(open_regular(path, link=False)) as file:
        while line := file.readline(OWN_BYTES):
            text = line[9:-1]
            if line != b"%08x %s\n" % (zlib.crc32(text), text):
                break
            end += len(line)
            entries.append(json.loads(text))
    return entries, end
