"""The drawings of files that somebody names, or of stdin, read a chunk at a time."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipeline.drawings import Drawings
from pipeline.errors import InputError
from pipeline.sources.files import Source
from pipeline.sources.readers import read_source, scan_source
from pipeline.sources.rejects import Reject


def read_named(files: Sequence[str], reject: Callable[[Reject], None] = lambda _reject: None) -> Iterator[Drawings]:
    """The drawings of ndjson files, one or more at a time, so that a file of any size can be read.

    Args:
        files: their names; "-" is stdin.
        reject: is told of each line that is rejected.

    Raises:
        InputError: a name is that of no file, or no file has a drawing.
    """
    found = False
    names = {name: "stdin" if name == "-" else name for name in files}
    for name in files:
        if name != "-" and not Path(name).is_file():
            raise InputError(f"{name}: {'a folder, not a file' if Path(name).is_dir() else 'no such file'}")
        with tempfile.NamedTemporaryFile() as copy:
            if name == "-":
                shutil.copyfileobj(sys.stdin.buffer, copy)
                copy.flush()
            lines, source = 0, Source(Path(copy.name if name == "-" else name), names[name], None)
            for chunk in read_source(source):
                scanned = scan_source(source, chunk)
                for one in scanned.rejects(names[name], lines):
                    reject(one)
                lines += scanned.lines
                if len(scanned.drawings):
                    found = True
                    yield scanned.drawings
    if not found:
        raise InputError(
            f"{', '.join(map(names.__getitem__, files))}: no drawing to predict; expected ndjson with a word and a "
            "drawing a line"
        )
