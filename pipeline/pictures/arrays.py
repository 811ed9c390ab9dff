"""Writes pictures as .npy files, one for each class of a split, as Google's numpy bitmaps are files of one class.

Grey pictures are (N, size * size) uint8 as Google's are, coloured ones (N, size, size, 3) uint8. A file grows block by
block, because a class may hold more pictures than memory does; its header is completed at the end.
"""

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from pipeline.arrays import UInt8Array
from pipeline.pictures.names import safe_name
from pipeline.storage.reading import open_regular

SUFFIX = ".npy"
Rendered = tuple[UInt8Array, list[tuple[Any, ...]]]


def array_place(split: str, word: str) -> str:
    """The path, in a set of pictures, of the array of a class of a split."""
    return f"{split}/{safe_name(word)}{SUFFIX}"


def append_arrays(staged: Path, rendered: Iterable[Rendered]) -> Iterator[list[tuple[Any, ...]]]:
    """Append blocks of images to the arrays of their classes; yields the lines of the index of each block.

    Args:
        staged: the folder to write into.
        rendered: the images of each block, (n, H, W, C) uint8, and for each its split, its word and the values of the
            columns after `row`.

    Yields:
        For each image its split, its word, its array, its row in that, and those values.
    """
    rows: Counter[tuple[str, str]] = Counter()
    shape: tuple[int, ...] = ()
    for images, about in rendered:
        shape = (images.shape[1] * images.shape[2],) if images.shape[3] == 1 else images.shape[1:]
        kinds = [(split, word) for split, word, *_ in about]
        for kind in dict.fromkeys(kinds):
            _append(staged / array_place(*kind), shape, images[[k for k, each in enumerate(kinds) if each == kind]])
        lines = []
        for (split, word, *more), kind in zip(about, kinds, strict=True):
            lines.append((split, word, array_place(split, word), rows[kind], *more))
            rows[kind] += 1
        yield lines
    for kind, count in rows.items():
        with (staged / array_place(*kind)).open("r+b") as file:
            file.write(_header(count, shape))


def rows_of(path: Path) -> int:
    """How many pictures an array holds; 0 if it cannot be read."""
    try:
        open_regular(path, link=True).close()  # NumPy would wait for a pipe
        return len(np.load(path, mmap_mode="r"))
    except (OSError, ValueError, TypeError):
        return 0


def _append(path: Path, shape: tuple[int, ...], images: UInt8Array) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as file:
        if file.tell() == 0:
            file.write(_header(0, shape))
        file.write(np.ascontiguousarray(images).data)


def _header(rows: int, shape: tuple[int, ...]) -> bytes:
    """The header of an array of so many rows; NumPy pads it, so that its length is the same for any number of rows."""
    header = io.BytesIO()
    npy.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (rows, *shape)})
    return header.getvalue()
