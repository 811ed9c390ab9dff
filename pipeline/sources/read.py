"""Reads drawings outside of a build: sources as a whole into memory, or named files and stdin a chunk at a time."""

import contextlib
import io
import os
import shutil
import stat
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import IO

import numpy as np

from pipeline.classes import WORDS, missing_class
from pipeline.drawings import Drawings, concat, renumbered
from pipeline.errors import DamagedError, InputError, UsageError
from pipeline.sources.files import Source, find_sources, no_drawing_in, word_of_name
from pipeline.sources.notes import told
from pipeline.sources.readers import damaged_error, read_parts
from pipeline.sources.rejects import Reject
from pipeline.sources.streams import find_lost
from pipeline.sources.walk import kind_at
from pipeline.storage.local import local_path
from pipeline.threads import core_count
from pipeline.wording import counted, visible


def read_drawings(
    source: str | Path | Sequence[str | Path], *, classes: Sequence[str] | None = None, strict: bool = False
) -> Drawings:
    """Read drawings of any format that `sketchpipe shards` takes into memory.

    Args:
        source: files, folders or globs: ndjson or a JSON array, simplified or raw, Kaggle's csv, Google's .bin and
            sketch-rnn's .npz; plain, gzip or zstd.
        classes: the words to take; None takes every word.
        strict: whether the first reject is an error, a field that cannot be read, or a drawing in canvas coordinates.
            Without it rejects are left out, such fields are null and such drawings simplified, and a warning for each
            file says how many there are. Another warning says what a folder holds beside sources.

    Returns:
        The drawings, file by file in the order of names, duplicates included. `words` is sorted as the classes of
        shards are.

    Raises:
        InputError: a source is missing, cannot be read or has no drawing; there is no drawing of a class; or, if
            `strict`, a line or record is rejected.
        DamagedError: a compressed source is damaged.
    """
    texts = [str(one) for one in ([source] if isinstance(source, str | Path) else source)]
    wanted = [classes] if isinstance(classes, str) else classes
    if not texts or (wanted is not None and not wanted):
        raise UsageError(f"{'classes' if texts else 'source'}: expected one or more")
    parts: list[Drawings] = []
    seen: set[str] = set()
    messages: list[str] = []
    sources = find_sources(texts, wanted, messages.append)
    for message in messages:
        warnings.warn(visible(message), stacklevel=2)
    for one in sources:
        for part in _read_chunks(one, strict):
            seen.update(part.words)
            if wanted is not None:
                unwanted = one.declared not in wanted and part.words == [one.declared]
                part = part.take(np.flatnonzero(renumbered(part.word, part.words, wanted) >= 0))
                if unwanted:  # as in a build, a file of an unwanted word is not read to its end
                    break
            parts.append(part)
    if not seen:
        raise no_drawing_in(sources[0], None)
    for word in wanted or ():
        if word not in seen:
            raise InputError(missing_class(word, seen))
    drawings = concat(parts)
    words = sorted(seen if wanted is None else set(wanted))
    return replace(drawings, word=renumbered(drawings.word, drawings.words, words), words=words)


def read_named(
    files: Sequence[str],
    reject: Callable[[Reject], object] = lambda _reject: None,
    read_other: Callable[[Path, str], Drawings | None] = lambda _path, _name: None,
) -> Iterator[Drawings]:
    """The drawings of files of any format, one or more at a time, so that a file of any size can be read.

    The word of a drawing may be missing, null or empty; it is "" then. A compressed file is decompressed to its end
    before its first drawing is yielded, so that no drawing of a damaged file is. A pipe cannot be read twice: its
    damage is an error after its last drawing.

    Args:
        files: their names; "-" is stdin.
        reject: is told of each line that is rejected.
        read_other: is called first with the path of each regular file and what messages call it; reads the drawings of
            a file that is no source, such as a picture, and returns None for any other. stdin is a regular file here.

    Raises:
        InputError: a name is that of no file, a file is of another kind, or no file has a drawing.
        DamagedError: a compressed file is damaged.
    """
    found = False
    files = [name if name == "-" else str(local_path(name)) for name in files]
    names = {name: "stdin" if name == "-" else name for name in files}
    seen = set()
    for name in files:
        real = os.path.realpath("/dev/stdin" if name == "-" else name)
        if real in seen and (name == "-" or Path(name).is_fifo()):
            raise InputError(f"{names[name]}: is named twice, and can be read only once")
        seen.add(real)
    for name in files:
        kind = None if name == "-" else kind_at(Path(name))  # it may be a pipe, as of <(command)
        if name != "-" and kind in (None, stat.S_IFDIR):
            raise InputError(f"{name}: {'a folder, not a file; name the files in it' if kind else 'no such file'}")
        with tempfile.NamedTemporaryFile() as copy:
            if name == "-":
                _copy_stdin(copy)
            path = Path(copy.name if name == "-" else name)
            if path.is_file() and (others := read_other(path, names[name])) is not None:
                found = True
                yield others
                continue
            source = Source(path, names[name], word_of_name(path.name, WORDS) or PurePath(names[name]).name)
            try:
                if path.is_file() and (lost := find_lost(path)) is not None:
                    raise damaged_error(source, lost, 0)
                for drawings in read_parts(source, reject, needs_word=False):
                    found = True
                    yield drawings
            except (InputError, DamagedError) as error:
                raise type(error)(str(error).replace(str(path), names[name])) from error
    if not found:
        raise InputError(
            f"{', '.join(map(names.__getitem__, files))}: no drawing to predict; expected ndjson with a drawing a "
            "line, or another format that `sketchpipe shards` takes"
        )


def _copy_stdin(copy: IO[bytes]) -> None:
    """Copy what comes through stdin into a file, to its end.

    Raises:
        InputError: stdin is closed, or is a device that may have no end.
    """
    if sys.stdin is None:
        raise InputError("stdin: is closed; give a file, or a pipe as stdin")
    with contextlib.suppress(io.UnsupportedOperation):  # a program may have put a stream without a file there
        if stat.S_ISCHR(os.fstat(sys.stdin.fileno()).st_mode) and not sys.stdin.isatty():
            raise InputError("stdin: is a device, not a file; expected a file, a pipe or a terminal")
    shutil.copyfileobj(sys.stdin.buffer, copy)
    copy.flush()


def _read_chunks(source: Source, strict: bool) -> Iterator[Drawings]:
    """The drawings of a source, one chunk at a time; warns of its rejects at the end."""
    first, rejected = None, 0
    notes: Counter[str] = Counter()

    def note(reject: Reject) -> None:
        nonlocal first, rejected
        first, rejected = first or reject, rejected + 1

    yield from read_parts(source, note, core_count(), strict=strict, notes=notes)
    if first is not None:
        message = f"{source.path}: {counted(rejected, source.unit)} rejected; the first: {first}"
        warnings.warn(visible(message), stacklevel=3)
    if notes:
        warnings.warn(visible(f"{source.path}: {'; '.join(told(notes))}"), stacklevel=3)
