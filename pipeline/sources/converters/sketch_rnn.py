"""Turns sketch-rnn's `.npz` into ndjson: `train`, `valid` and `test` are arrays of drawings, each as rows of stroke-3.

A row of stroke-3 is dx, dy and whether the pen is lifted after this point
(https://github.com/googlecreativelab/quickdraw-dataset, "Sketch-RNN QuickDraw Dataset"). The arrays are arrays of
objects, so that they are pickles, which could run any code: the unpickler here knows NumPy's four names for an array
and refuses every other. It calls nothing of NumPy's either, only the two classes below. A file without times is
written as simplified strokes if it fits into 0-255, and as raw strokes, all at time 0, if not.
"""

import json
import pickle
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.sources.compressed import BrokenStreamError
from pipeline.storage.reading import open_regular

SPLITS = ("test", "valid", "train")  # the small ones first: a build is estimated from the first lines
_FILE_BYTES = 1 << 30  # the largest of Google's is below a tenth of that
_MEMBER_BYTES, _RATIO = 1 << 29, 64  # of a decompressed array, and how much larger than compressed
_DRAWINGS_AT_A_TIME = 256
_FARTHEST = 1e12  # of a step, so that sums stay exact enough and whole ones fit into int64
_NUMBERS = re.compile(r"[|<>=]?[iuf][1248]")
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)
_NO_PICKLE = (
    pickle.UnpicklingError, AttributeError, ImportError, LookupError, MemoryError, OverflowError, TypeError, ValueError
)  # fmt: skip


class RefusedError(Exception):
    """Why an array is not read."""


def sketch_rnn_word(name: str) -> str:
    """The word in the name of a file of sketch-rnn's.

    >>> [sketch_rnn_word(name) for name in ("cat.npz", "sketchrnn%2Fcat.full.npz", "sketchrnn_hot_dog.npz")]
    ['cat', 'cat', 'hot dog']
    """
    stem = unquote(PurePath(name).name).rpartition("/")[2]
    for suffix in (".gz", ".zst", ".npz", ".full"):
        stem = stem.removesuffix(suffix)
    return stem.removeprefix("sketchrnn_").replace("_", " ")


def is_sketch_rnn(path: Path) -> bool:
    """Whether a file is a zip file that holds the arrays of sketch-rnn.

    Raises:
        InputError: it cannot be opened.
    """
    try:
        file = open_regular(path, link=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    with file:
        try:
            with zipfile.ZipFile(file) as archive:
                return bool(_members(archive))
        except _DAMAGE + _NO_PICKLE:
            return False


def sketch_rnn_lines(pieces: Iterator[bytes], where: str, word: str, note: Callable[[int], object]) -> Iterator[bytes]:
    """The drawings of a file, a line each, those of `test` first.

    Args:
        pieces: the bytes of the file.
        where: the file, for messages.
        word: the word of all drawings.
        note: is told how many bytes of the file are converted.

    Raises:
        BrokenStreamError: the archive is damaged, after the drawings of the arrays that are not.
        InputError: it is another archive, or an array holds what no file of sketch-rnn's holds.
    """
    with tempfile.TemporaryFile() as copy:
        size = 0
        for piece in pieces:
            size += len(piece)
            if size > _FILE_BYTES:
                raise InputError(f"{where}: an npz file of more than {_FILE_BYTES >> 30} GiB; sketch-rnn's are smaller")
            copy.write(piece)
        try:
            with zipfile.ZipFile(copy) as archive:
                yield from _lines(archive, word, note)
        except RefusedError as error:
            raise InputError(f"{where}: {error}") from error
        except _DAMAGE as error:
            raise BrokenStreamError(f"its npz archive is damaged: {error or type(error).__name__}") from error


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    names = {f"{split}.npy": split for split in SPLITS}
    found = [member for member in archive.infolist() if member.filename in names]
    return sorted(found, key=lambda member: SPLITS.index(names[member.filename]))


def _lines(archive: zipfile.ZipFile, word: str, note: Callable[[int], object]) -> Iterator[bytes]:
    members = _members(archive)
    if not members:
        found = ", ".join(member.filename for member in archive.infolist()[:4])
        wanted = "expected the arrays train, valid and test"
        raise RefusedError(f"an npz archive that is not sketch-rnn's: {wanted}, found {found or 'none'}")
    word_json, done = json.dumps(word, ensure_ascii=False), 0
    for member in members:
        drawings = _drawings(archive, member)
        for k in range(0, len(drawings), _DRAWINGS_AT_A_TIME):
            for count, text in enumerate(_drawings_as_json(drawings[k : k + _DRAWINGS_AT_A_TIME]), k + 1):
                note(max(1, done + member.compress_size * count // len(drawings)))
                yield f'{{"word":{word_json},"drawing":{text}}}\n'.encode()
        done += member.compress_size


def _drawings_as_json(drawings: list[Any]) -> list[str]:
    """Each drawing as JSON; what is no drawing of stroke-3 becomes a sentence, which the scanner rejects."""
    texts, whole, places = [""] * len(drawings), [], []
    for k, drawing in enumerate(drawings):
        rows = drawing.values() if isinstance(drawing, Array) else None
        if rows is None or rows.ndim != 2 or rows.shape[1] != 3 or not len(rows):
            texts[k] = json.dumps("no rows of stroke-3" if rows is None else f"an array of shape {rows.shape}")
        elif rows.dtype.kind in "iu":
            whole.append(rows)
            places.append(k)
        elif np.isfinite(rows).all() and np.abs(rows).max() < _FARTHEST:
            texts[k] = _strokes_as_json([rows.astype(np.float64)])[0]
        else:
            texts[k] = '"a coordinate that is not a finite number"'
    for k, text in zip(places, _strokes_as_json(whole) if whole else [], strict=True):
        texts[k] = text
    return texts


def _strokes_as_json(drawings: list[NDArray[Any]]) -> list[str]:
    """The strokes of drawings, each given as its rows: all of integers, or one of float64."""
    lengths = np.array([len(rows) for rows in drawings])
    ends = np.cumsum(lengths)
    rows = np.concatenate(drawings)
    at = np.cumsum(rows[:, :2], axis=0, dtype=np.float64 if rows.dtype.kind == "f" else np.int64)
    at -= np.repeat(np.minimum.reduceat(at, ends - lengths), lengths, axis=0)  # each drawing begins at 0
    if rows.dtype.kind == "f" and (at == np.floor(at)).all():
        at = at.astype(np.int64)
    fits = (np.maximum.reduceat(at.max(axis=1), ends - lengths) <= 255) & (at.dtype.kind == "i")
    x, y = at.T.tolist()
    cuts = iter(np.union1d(np.flatnonzero(rows[:, 2] == 1) + 1, ends).tolist())
    texts, begin = [], 0
    for end, is_simplified in zip(ends.tolist(), fits.tolist(), strict=True):
        strokes = []
        while begin < end:
            cut = next(cuts)
            times = "" if is_simplified else f",{[0] * (cut - begin)}"
            strokes.append(f"[{x[begin:cut]},{y[begin:cut]}{times}]")
            begin = cut
        texts.append(f"[{','.join(strokes)}]")
    return texts


class Dtype:
    """A `numpy.dtype` in a pickle: its name and the order of its bytes."""

    def __init__(self, name: object, *_: object) -> None:
        self.name, self.order = name.decode("latin1") if isinstance(name, bytes) else name, "<"

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        self.order = order.decode("latin1") if isinstance(order, bytes) else order


class Array:
    """A `numpy.ndarray` in a pickle: its state, of which nothing is believed."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def values(self) -> NDArray[Any] | None:
        """The numbers; None if it is not an array of numbers."""
        try:
            _, shape, dtype, fortran, content = self.state
            code = f"{'<' if dtype.order in '|=' else dtype.order}{dtype.name.lstrip('<>|=')}"
            if not _NUMBERS.fullmatch(code):
                return None
            content = content.encode("latin1") if isinstance(content, str) else content
            return np.frombuffer(content, code).reshape(shape, order="F" if fortran else "C")
        except (AttributeError, TypeError, ValueError):
            return None

    def objects(self) -> list[Any] | None:
        """The list of an array of objects; None if it is another."""
        try:
            return self.state[4] if isinstance(self.state[4], list) else None
        except (IndexError, KeyError, TypeError):
            return None


def _reconstruct(kind: object, *_: object) -> Array:
    if kind is not Array:
        raise RefusedError("its pickle makes an array of something else; it was not read")
    return Array()


def _encode(text: object, *_: object) -> bytes:
    return text.encode("latin1") if isinstance(text, str) else b""


_NAMES: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): Array,
    ("numpy", "dtype"): Dtype,
    ("_codecs", "encode"): _encode,  # how Python 3 writes bytes in the protocol of Python 2
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise RefusedError(
                f"its pickle asks for {module}.{name}, which no array needs and which may run code; it was not read"
            )
        return _NAMES[module, name]


def _drawings(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> list[Any]:
    """The objects of one array of an archive."""
    if member.file_size > min(_MEMBER_BYTES, _RATIO * member.compress_size + (1 << 16)):
        raise RefusedError(
            f"{member.filename} would be {member.file_size:,} bytes, decompressed from {member.compress_size:,}; "
            "no file of sketch-rnn's is like that"
        )
    with archive.open(member) as file:
        try:
            version = np.lib.format.read_magic(file)
            read_header = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            _, _, dtype = read_header(file)
        except ValueError as error:
            raise RefusedError(f"{member.filename} is not an array of NumPy ({error})") from error
        if dtype != np.dtype(object):
            raise RefusedError(f"{member.filename} holds numbers, not drawings: expected sketch-rnn's array of objects")
        try:
            array = _Unpickler(file, encoding="latin1").load()
        except _NO_PICKLE as error:
            raise RefusedError(f"{member.filename} is not a pickle of arrays ({error})") from error
        objects = array.objects() if isinstance(array, Array) else None
        if objects is None:
            raise RefusedError(f"{member.filename} is not a pickle of an array of drawings")
        while file.read(1 << 16):  # to the end, where the checksum is compared
            pass
    return objects
