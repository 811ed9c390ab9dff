"""Finds the files that a build reads, in a fixed order, and the classes that their names declare."""

import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from pipeline.classes import WORDS, declared_word, plain_stem
from pipeline.errors import InputError
from pipeline.sources.converters.sketch_rnn import sketch_rnn_word
from pipeline.sources.kinds import holds_drawings

SAMPLE_MARK = ".synthetic"  # the file that marks a folder as made by `sketchpipe sample`
_COMPRESSED = ("", ".gz", ".zst")
_BINARY = tuple(f".bin{end}" for end in _COMPRESSED)
_BITMAPS = ".npy"
SKETCH_RNN = ".npz"
SUFFIXES = (*(f"{kind}{end}" for kind in (".ndjson", ".jsonl") for end in _COMPRESSED), *_BINARY)


@dataclass(frozen=True)
class Source:
    """One input file.

    Attributes:
        path: the path of the file.
        name: the folder's name and the file's, with `/`: its name in manifests and rejects, on any machine.
        declared: the word that its name declares, or None.
    """

    path: Path
    name: str
    declared: str | None

    @property
    def is_binary(self) -> bool:
        """Whether it holds Google's packed records rather than lines of JSON; only its name says so."""
        return self.path.name.endswith(_BINARY)

    @property
    def unit(self) -> str:
        """What it consists of: line or record."""
        return "record" if self.is_binary else "line"


def no_drawing_in(source: Source, first_reject: object | None) -> InputError:
    """The error for a source without drawings; it gives the first reject, if there is one, as the reason."""
    why = first_reject or f"{source.name}: it has no {source.unit}s"
    return InputError(f"{source.path}: no drawing in it; is it a Quick, Draw! file? ({why})")


def find_sources(inputs: Sequence[str], classes: Sequence[str] | None = None) -> list[Source]:
    """The files that paths, folders and globs name, each once, in the order of their names.

    Folders are searched for files with one of `SUFFIXES`, Kaggle's csv and sketch-rnn's npz; hidden files are skipped.

    Raises:
        InputError: something does not exist, or a folder holds no such file.
    """
    known = (*WORDS, *(classes or ()))
    found = find_files(inputs, _files_in, "`sketchpipe sample` makes one to start with")
    return [Source(path, name, word_of_name(name, known)) for name, path in found]


def find_files(inputs: Sequence[str], files_in: Callable[[Path], list[Path]], hint: str) -> list[tuple[str, Path]]:
    """The names and paths of the files that paths, folders and globs name, each once, in the order of their names.

    Args:
        inputs: paths and globs.
        files_in: returns the wanted files of an absolute path: the file itself, or those below a folder.
        hint: what to do about an input that does not exist.

    Raises:
        InputError: something does not exist.
    """
    found: dict[Path, str] = {}
    for text in inputs:
        matches = [text] if Path(text).exists() else sorted(glob.glob(text))  # noqa: PTH207 - Path.glob takes no absolute pattern
        if not matches:
            raise InputError(f"{text}: no such file or folder; {hint}")
        for match in matches:
            path = Path(os.path.abspath(match))  # noqa: PTH100 - a link keeps its own name, which resolve() would lose
            for file in files_in(path):
                inside = file.relative_to(path if file != path else path.parent).as_posix()
                name = f"{(path if file != path else path.parent).name}/{inside}"
                found[file] = min(name, found.get(file, name))  # the first would depend on the order of inputs
    return sorted((printable(name), path) for path, name in found.items())


def visible_files(folder: Path, pattern: str) -> list[Path]:
    """The files below a folder that match; hidden ones, and those in hidden folders, are skipped."""
    files = [file for file in folder.rglob(pattern) if file.is_file()]
    return [file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts)]


def word_of_name(name: str, known: Sequence[str]) -> str | None:
    """The word that a source's name declares; for `.bin` and `.npz`, which hold no words, it may be any word."""
    name = PurePath(name).name
    if name.endswith(SKETCH_RNN):
        return declared_word(sketch_rnn_word(name), known) or sketch_rnn_word(name)
    word = declared_word(name, known)
    return plain_stem(name) if word is None and name.endswith(_BINARY) else word


def printable(name: str) -> str:
    """The name, with bytes that are not UTF-8 as escapes, because manifests and indexes are UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _files_in(path: Path) -> list[Path]:
    if path.name.endswith(_BITMAPS):
        raise InputError(f"{path}: bitmaps have no strokes to put into shards; see `sketchpipe render bitmaps --help`")
    if not path.is_dir():
        return [path]
    files = [file for file in visible_files(path, "*") if file.name.endswith(SUFFIXES) or holds_drawings(file)]
    # A folder of shards may be among the inputs; its rejects.ndjson is not a source.
    files = [file for file in files if file.name != "rejects.ndjson" or not (file.parent / "manifest.json").exists()]
    if not files:
        if any(path.rglob(f"*{_BITMAPS}")):
            raise InputError(f"{path}: holds bitmaps, which have no strokes; see `sketchpipe render bitmaps --help`")
        raise InputError(f"{path}: holds no .ndjson, .jsonl or .bin file; give the folder or the files of drawings")
    return files
