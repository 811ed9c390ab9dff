"""Reads Google's numpy bitmaps: .npy files of (N, 784) uint8, 28 x 28 pixels a row, white (255) on black (0).

They have no strokes, so shards cannot hold them. Format: https://numpy.org/doc/stable/reference/generated/
numpy.lib.format.html; data: https://github.com/googlecreativelab/quickdraw-dataset.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import UInt8Array, UInt64Array
from pipeline.classes import declared_word, plain_stem, stem_and_ending
from pipeline.errors import InputError
from pipeline.hashing import salted
from pipeline.shards.shuffle import split_of
from pipeline.sources.files import find_files, printable
from pipeline.storage.reading import open_regular

SIDE = 28  # pixels
SUFFIX = ".npy"
_PIXELS = SIDE * SIDE
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True)
class BitmapFile:
    """A file of bitmaps of one class.

    Attributes:
        path: its path.
        name: its folder's name and its own, joined by `/` on every system.
        word: the class that its name declares.
        rows: how many bitmaps it holds, 1 or more.
    """

    path: Path
    name: str
    word: str
    rows: int

    def read(self, start: int, stop: int) -> UInt8Array:
        """Read bitmaps `start` to `stop`: (n, 28, 28) uint8, a copy, so that the mapped file does not stay in memory.

        Raises:
            InputError: the file can no longer be read, or has changed.
        """
        rows = np.array(_map(self.path)[start:stop], order="C").reshape(-1, SIDE, SIDE)
        if len(rows) != stop - start:
            raise InputError(f"{self.path}: changed while it was read; run the command again")
        return rows


def find_bitmaps(inputs: Sequence[str], tell: Callable[[str], object] = lambda _message: None) -> list[BitmapFile]:
    """Find the .npy files that paths, folders and globs name, each once, in the order of their names.

    Folders are searched recursively; hidden files and folders are skipped, and `tell` is called with a message for each
    folder that holds other files too.

    Raises:
        InputError: a path does not exist, a folder holds no .npy file, or a file holds no bitmaps.
    """
    ordered = find_files(inputs, _is_bitmaps, f"{SUFFIX} file", f"give Google's numpy bitmaps (*{SUFFIX})", tell)
    return [open_bitmaps(path, name) for name, path in ordered]


def open_bitmaps(path: Path, name: str | None = None) -> BitmapFile:
    """Open a file of bitmaps, and check its header and size.

    Raises:
        InputError: the file cannot be read, is not a .npy file, is shorter or longer than its header says, or its array
            is not (N, 784) uint8.
    """
    word = word_of_file(path.name)
    if not word:
        raise InputError(f"{path}: its name declares no class; name it <class>{SUFFIX}")
    rows, *_ = _layout(path)
    if rows == 0:
        raise InputError(f"{path}: holds no bitmaps; download it again or leave it out")
    return BitmapFile(path, name or f"{path.parent.name}/{path.name}", word, rows)


def word_of_file(name: str) -> str:
    """The class that a file's name declares: one of Google's words, or the name itself.

    >>> word_of_file("full_numpy_bitmap_hot%20dog.npy"), word_of_file("t_shirts.npy")
    ('hot dog', 't_shirts')
    """
    return declared_word(name) or plain_stem(printable(name))


def bitmap_splits(bitmaps: UInt8Array, splits: Sequence[Fraction], seed: int) -> NDArray[np.int64]:
    """(N,) int64, for each bitmap an index into `SPLITS`, which depends only on its pixels and the seed.

    So a bitmap keeps its split whatever other bitmaps there are, and identical bitmaps are always in the same split.

    Args:
        bitmaps: (N, 28, 28) uint8.
        splits: the shares of the splits; they sum to 1.
        seed: a different seed divides the bitmaps differently.
    """
    rows = np.ascontiguousarray(bitmaps, np.uint8).reshape(len(bitmaps), _PIXELS)
    digests = b"".join(hashlib.blake2b(row.data, digest_size=8).digest() for row in rows)
    keys: UInt64Array = np.frombuffer(digests, "<u8").astype(np.uint64)
    return split_of(keys ^ salted("bitmap split", seed), splits)


def _layout(path: Path) -> tuple[int, int, Literal["C", "F"]]:
    """The rows of the array in a file, the offset of its first byte, and its order.

    The header is checked against the file's size, so that nothing beyond the file's end is mapped.
    """
    try:
        with open_regular(path, link=True) as file:
            version = np.lib.format.read_magic(file)
            if version not in _HEADERS:
                raise ValueError(f"format version {version[0]}.{version[1]}, expected 1.0 or 2.0")
            shape, columns_first, dtype = _HEADERS[version](file)
            offset, size = file.tell(), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # numpy evaluates the header as a Python literal: a damaged one can raise anything
        raise InputError(
            f"{path}: is not a complete {SUFFIX} file ({_first_line(error)}); download it again"
        ) from error
    if len(shape) != 2 or shape[1] != _PIXELS or dtype != np.uint8:
        found = f"{shape} {dtype}"
        raise InputError(f"{path}: expected (N, {_PIXELS}) uint8, bitmaps of {SIDE} x {SIDE} pixels, found {found}")
    behind = size - offset - shape[0] * _PIXELS
    if behind < 0 or shape[0] < 0:
        raise InputError(f"{path}: is not a complete {SUFFIX} file (it ends after {size:,} bytes); download it again")
    if behind > 0:
        raise InputError(f"{path}: has {behind:,} more bytes after its {shape[0]:,} bitmaps; download it again")
    return shape[0], offset, "F" if columns_first else "C"


def _map(path: Path) -> UInt8Array:
    """Map the file's array into memory: (N, 784) uint8."""
    rows, offset, order = _layout(path)
    try:
        return np.memmap(path, np.uint8, "r", offset, (rows, _PIXELS), order)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise InputError(f"{path}: changed while it was read; run the command again") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__


def _is_bitmaps(path: Path) -> bool:
    return stem_and_ending(path.name)[1] == SUFFIX
