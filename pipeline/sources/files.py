"""Finds the files that a build reads, in a fixed order, and the classes that their names declare."""

import functools
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from pipeline.classes import WORDS, declared_word, plain_stem, stem_and_ending
from pipeline.errors import InputError
from pipeline.sources.converters.sketch_rnn import sketch_rnn_word
from pipeline.sources.kinds import holds_drawings
from pipeline.sources.walk import broken_link, entries_below, kind_at, matches_of
from pipeline.storage.local import local_path
from pipeline.wording import counted

SAMPLE_MARK = ".synthetic"  # the file that marks a folder as made by `sketchpipe sample`
_BITMAPS = ".npy"
SKETCH_RNN = ".npz"
_WANTED = "file of drawings (.ndjson, .jsonl, .bin, Kaggle's .csv, sketch-rnn's .npz)"
_ENDINGS = tuple(f"{kind}{end}" for kind in (".ndjson", ".jsonl", ".bin") for end in ("", ".gz", ".zst"))
# Files that mark folders of sketchpipe's own, and what else is in them that is no source, although it ends like one.
_OWN = {"manifest.json": "rejects.ndjson", "run.json": "metrics.jsonl"}
_MADE = (*_OWN, "pictures.json", "bitmaps.json")
_DECLARING = (".bin", ".npz", ".npy")  # hold no words
_MOST_KINDS = 6  # named in a message


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
    def is_file(self) -> bool:
        """Whether it can be read twice: anything else, such as a pipe, is opened only to be read to its end."""
        return self.path.is_file()

    @property
    def is_binary(self) -> bool:
        """Whether it holds Google's packed records rather than lines of JSON; only its name says so."""
        return _is_binary(self.path.name)

    @property
    def unit(self) -> str:
        """What it consists of: line or record."""
        return "record" if self.is_binary else "line"


def no_drawing_in(source: Source, first_reject: object | None) -> InputError:
    """The error for a source without drawings; it gives the first reject, if there is one, as the reason."""
    why = first_reject or f"{source.name}: it has no {source.unit}s"
    return InputError(f"{source.path}: no drawing in it; is it a Quick, Draw! file? ({why})")


def refuse_unfit(source: Source, drawings: int, rejected: int, first_reject: object | None) -> None:
    """Raise an error for a source of other content: it has rejects and no drawing, or more rejects than drawings.

    Args:
        source: the source, which was read to its end.
        drawings: how many it has.
        rejected: how many lines or records were rejected; the damaged end of a compressed file is none.
        first_reject: the first reject, of whatever kind; None if there is none.

    Raises:
        InputError: the source is unfit.
    """
    if not drawings and first_reject is not None:
        raise no_drawing_in(source, first_reject)
    if rejected > drawings:
        raise InputError(
            f"{source.path}: {rejected:,} of its {drawings + rejected:,} {source.unit}s are rejected, more than half; "
            f"is it a Quick, Draw! file? ({first_reject})"
        )


def refuse_pipes(sources: Sequence[Source], what: str) -> None:
    """Raise an error for the first source that is no file; `what` reads sources more than once, or not to their end.

    Raises:
        InputError: a source is no file.
    """
    for source in sources:
        if not source.is_file:
            raise InputError(
                f"{source.path}: is a pipe or a device, which can be read only once, and {what} reads only files; "
                f"write it to a file first, and name that"
            )


def find_sources(
    inputs: Sequence[str],
    classes: Sequence[str] | None = None,
    tell: Callable[[str], object] = lambda _message: None,
) -> list[Source]:
    """The files that paths, folders and globs name, each once, in the order of their names.

    Args:
        inputs: paths, folders, which are searched for the files that `is_source` takes, and globs. Links to folders are
            followed, each folder is searched once, and a file that several paths reach is read once, under the first
            of its names.
        classes: words that the names of files may declare beside Google's.
        tell: is called with a message for each folder that holds other files too.

    Raises:
        InputError: something does not exist, a folder holds no source, or the name of a binary file declares no word.
    """
    known = (*WORDS, *(classes or ()))
    hint = "`sketchpipe sample` makes one to start with"
    found = find_files(inputs, is_source, _WANTED, hint, tell)
    sources = [Source(path, name, word_of_name(name, known)) for name, path in found]
    for source in sources:
        if stem_and_ending(source.path.name)[1] == _BITMAPS:
            raise InputError(
                f"{source.path}: bitmaps have no strokes to put into shards; see `sketchpipe render bitmaps --help`"
            )
        if source.declared == "":
            raise InputError(f"{source.path}: its name declares no class; name it <class>.bin")
    return sources


def is_source(path: Path) -> bool:
    """Whether a file found in a folder is one of drawings: by its name, or by its content if it is csv or npz."""
    return stem_and_ending(path.name)[1] in _ENDINGS or holds_drawings(path)


def find_files(
    inputs: Sequence[str],
    is_wanted: Callable[[Path], bool],
    wanted: str,
    hint: str,
    tell: Callable[[str], object] = lambda _message: None,
) -> list[tuple[str, Path]]:
    """The names and paths of the files that paths, folders and globs name, each once, in the order of their names.

    Args:
        inputs: paths and globs.
        is_wanted: whether a file below a folder is to be taken. It is called with regular files and broken links.
        wanted: what such a file is called in messages.
        hint: what to do about an input that does not exist.
        tell: is called with a message for each folder that holds other files too, and with one about files that links
            reach by several paths.

    Raises:
        InputError: something does not exist or cannot be read, or a folder holds no wanted file.
        UsageError: an input is an address of an object store or a web page.
    """
    found: dict[Path, str] = {}
    for text in (str(local_path(one)) for one in inputs):
        matches = matches_of(text)
        if not matches:
            raise InputError(f"{text}: no such file or folder; {hint}")
        for match in matches:
            path = Path(os.path.abspath(match))  # noqa: PTH100 - a link keeps its own name, which resolve() would lose
            kind = kind_at(path)
            if kind is None:
                raise broken_link(path)
            files = _files_below(path, match, is_wanted, wanted, tell) if kind == stat.S_IFDIR else [path]
            for file in files:
                inside = file.relative_to(path if file != path else path.parent).as_posix()
                name = f"{(path if file != path else path.parent).name}/{inside}"
                found[file] = min(name, found.get(file, name))  # the first would depend on the order of inputs
    return _each_once(sorted((printable(name), path) for path, name in found.items()), tell)


def _each_once(files: Sequence[tuple[str, Path]], tell: Callable[[str], object]) -> list[tuple[str, Path]]:
    """The first of the names and paths of each file, which links may reach by several paths; tells the others.

    A file whose name declares its class is read once for each class.
    """
    first: dict[tuple[str, str], str] = {}
    once, again = [], []
    real_folder = functools.cache(os.path.realpath)  # there may be many files in few folders
    for name, path in files:
        real = os.path.realpath(path) if path.is_symlink() else f"{real_folder(path.parent)}/{path.name}"
        declares = stem_and_ending(path.name)[1].startswith(_DECLARING) and path.is_file()
        key = real, plain_stem(path.name) if declares else ""
        if key in first:
            again.append(f"{name} (the file of {first[key]})")
        else:
            first[key] = name
            once.append((name, path))
    if again:
        more = f" and {len(again) - 1:,} more" * (len(again) > 1)
        tell(f"passed over, because read under another name: {again[0]}{more}")
    return once


def _files_below(
    folder: Path, given: str, is_wanted: Callable[[Path], bool], wanted: str, tell: Callable[[str], object]
) -> list[Path]:
    """The wanted files below a folder, which the user gave as `given`; tells how many others there are, by kind.

    Raises:
        InputError: there is no wanted file, or what cannot be read may be one or hold some.
    """
    kinds = dict(entries_below(folder))
    there = [path for path, kind in kinds.items() if kind == stat.S_IFREG]
    own = {file.with_name(_OWN[file.name]) for file in there if file.name in _OWN}
    made = {file.parent for file in there if file.name in _MADE}
    special = [path for path, kind in kinds.items() if kind != stat.S_IFREG and not made.intersection(path.parents)]
    for path in special:
        if kinds[path] is None and _may_be(path, is_wanted):
            raise broken_link(path)
    taken = {file for file in there if is_wanted(file)}
    files = sorted(taken - own)
    others = [file for file in there if not (file in taken or made.intersection(file.parents))]
    if not files:
        if any(stem_and_ending(file.name)[1] == _BITMAPS for file in others):
            raise InputError(f"{given}: holds bitmaps, which have no strokes; see `sketchpipe render bitmaps --help`")
        only = f", only {_by_kind(there, len(special))}" if kinds else ""
        remedy = "name a file itself, and it is read or refused with the reason" if there else "give another folder"
        raise InputError(f"{given}: holds no {wanted}{only}; {remedy}")
    if others or special:
        tell(f"passed over in {given}: {_by_kind(others, len(special))}")
    return files


def _may_be(path: Path, is_wanted: Callable[[Path], bool]) -> bool:
    """Whether a file that is not there would be wanted, by its name."""
    try:
        return is_wanted(path)
    except InputError:  # its content would be looked at
        return True


def _by_kind(files: Sequence[PurePath], special: int = 0) -> str:
    """How many files of each kind there are, as text, and how many others that are neither file nor folder.

    >>> _by_kind([PurePath("a.CSV"), PurePath("b.csv"), PurePath("sun.ndjson.zip"), PurePath("README")], 1)
    '2 .csv, 1 .zip, 1 without an ending, 1 pipe, device or broken link'
    """
    endings = Counter(file.suffix.lower() for file in files)
    plain = {end: count for end, count in endings.items() if re.fullmatch(r"\.\w{1,12}", end, re.ASCII)}
    most = sorted(plain, key=lambda end: (-plain[end], end))[:_MOST_KINDS]
    texts = [f"{plain[end]:,} {end}" for end in most]
    if endings[""]:
        texts.append(f"{endings['']:,} without an ending")
    if rest := len(files) - endings[""] - sum(plain[end] for end in most):
        texts.append(f"{rest:,} of other kinds")
    if special:
        texts.append(counted(special, "pipe, device or broken link", "pipes, devices or broken links"))
    return ", ".join(texts)


def word_of_name(name: str, known: Sequence[str]) -> str | None:
    """The word that a source's name declares; for `.bin` and `.npz`, which hold no words, it may be any word."""
    name = PurePath(name).name
    if name.lower().endswith(SKETCH_RNN):
        return declared_word(sketch_rnn_word(name), known) or sketch_rnn_word(name)
    word = declared_word(name, known)
    return plain_stem(name) if word is None and _is_binary(name) else word


def printable(name: str) -> str:
    """The name, with bytes that are not UTF-8 as escapes, because manifests and indexes are UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _is_binary(name: str) -> bool:
    return stem_and_ending(name)[1].startswith(".bin")
