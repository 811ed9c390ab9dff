"""Which files a build reads, in which order, and what their names promise."""

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from pipeline.classes import WORDS, declared_word, plain_stem
from pipeline.errors import InputError

SAMPLE_MARK = ".synthetic"  # the file that marks a folder as made by `sketchpipe sample`
_COMPRESSED = ("", ".gz", ".zst")
_BINARY = tuple(f".bin{end}" for end in _COMPRESSED)
_BITMAPS = ".npy"
SUFFIXES = (*(f"{kind}{end}" for kind in (".ndjson", ".jsonl") for end in _COMPRESSED), *_BINARY)


@dataclass(frozen=True)
class Source:
    """One input file.

    Attributes:
        path: where it lies.
        name: its folder's name and its own, with `/`: what manifests and rejects call it on any machine.
        declared: the one word its name declares, or None.
    """

    path: Path
    name: str
    declared: str | None

    @property
    def is_binary(self) -> bool:
        """Whether it holds Google's packed records, which nothing but its name tells, rather than lines of JSON."""
        return self.path.name.endswith(_BINARY)

    @property
    def unit(self) -> str:
        """What it holds one after the other: line or record."""
        return "record" if self.is_binary else "line"


def find_sources(inputs: Sequence[str], classes: Sequence[str] | None = None) -> list[Source]:
    """The files behind paths, folders and globs, each once, in the order of their names.

    Folders are searched through for files that end like `SUFFIXES`; hidden ones are passed over.

    Raises:
        InputError: something does not exist, or a folder holds no such file.
    """
    known = (*WORDS, *(classes or ()))
    found: dict[Path, str] = {}
    for text in inputs:
        matches = [text] if Path(text).exists() else sorted(glob.glob(text))  # noqa: PTH207 - Path.glob takes no absolute pattern
        if not matches:
            raise InputError(f"{text}: no such file or folder; `sketchpipe sample` makes one to start with")
        for match in matches:
            for path, name in _files_in(Path(match)):
                found[path] = min(name, found.get(path, name))  # the first would hang on the order of inputs
    ordered = sorted((_printable(name), path) for path, name in found.items())
    return [Source(path, name, word_of_name(name, known)) for name, path in ordered]


def word_of_name(name: str, known: Sequence[str]) -> str | None:
    """The word that a source's name declares; a binary one's, which holds no words, may be any."""
    name = PurePath(name).name
    word = declared_word(name, known)
    return plain_stem(name) if word is None and name.endswith(_BINARY) else word


def _printable(name: str) -> str:
    """The name with bytes that are not UTF-8, which no manifest could hold, as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _files_in(path: Path) -> list[tuple[Path, str]]:
    path = Path(os.path.abspath(path))  # noqa: PTH100 - a link keeps its own name, which resolve() would lose
    if path.name.endswith(_BITMAPS):
        raise InputError(f"{path}: bitmaps have no strokes to put into shards; see `sketchpipe render bitmaps --help`")
    if not path.is_dir():
        return [(path, f"{path.parent.name}/{path.name}")]
    files = [file for file in path.rglob("*") if file.name.endswith(SUFFIXES) and file.is_file()]
    files = [file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    # A folder of shards may lie among the sources; its rejects are none.
    files = [file for file in files if file.name != "rejects.ndjson" or not (file.parent / "manifest.json").exists()]
    if not files:
        if any(path.rglob(f"*{_BITMAPS}")):
            raise InputError(f"{path}: holds bitmaps, which have no strokes; see `sketchpipe render bitmaps --help`")
        raise InputError(f"{path}: holds no .ndjson, .jsonl or .bin file; give the folder or the files of drawings")
    return [(file, f"{path.name}/{file.relative_to(path).as_posix()}") for file in files]
