"""Writes pictures as .npy files, one for each class of a split, as Google's numpy bitmaps are files of one class.

Grey pictures are (N, size * size) uint8 as Google's are, coloured ones (N, size, size, 3) uint8. A file grows block by
block, because a class may hold more pictures than memory does; its header is completed at the end.
"""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.lib import format as npy

from pipeline.arrays import UInt8Array
from pipeline.pictures.names import check_names, safe_name
from pipeline.pictures.target import INDEX
from pipeline.progress import Progress
from pipeline.shards.shuffle import SPLITS
from pipeline.threads import ordered_map

SUFFIX = ".npy"
Block = TypeVar("Block")
Rendered = tuple[UInt8Array, list[tuple[Any, ...]]]


def array_place(split: str, word: str) -> str:
    """The path, in a set of pictures, of the array of a class of a split."""
    return f"{split}/{safe_name(word)}{SUFFIX}"


def write_arrays(
    staged: Path,
    classes: Sequence[str],
    columns: Sequence[str],
    blocks: Iterable[Block],
    render_block: Callable[[Block], Rendered],
    *,
    workers: int,
    total: int,
    progress: Progress,
) -> dict[str, tuple[int, ...]]:
    """Write pictures as arrays, and their index; returns `PictureSet.counts`.

    Args:
        staged: the folder to write into.
        classes: the classes of the set, in order.
        columns: the columns of the index: split, word, file, row, and more.
        blocks: the pictures that are rendered at a time.
        render_block: returns the images of a block, (n, H, W, C) uint8, and for each its split, its word and the values
            of the columns after `row`.
        workers: how many threads render.
        total: how many pictures there will be.
        progress: is called with the number of pictures written.

    Raises:
        OutputError: two classes would share a file on this disk.
    """
    check_names(staged, classes)
    rows: Counter[tuple[str, str]] = Counter()
    shape: tuple[int, ...] = ()
    done = 0
    with (staged / INDEX).open("w", encoding="utf-8", newline="") as text:
        index = csv.writer(text, lineterminator="\n")
        index.writerow(columns)
        for images, lines in ordered_map(render_block, blocks, workers):
            shape = (images.shape[1] * images.shape[2],) if images.shape[3] == 1 else images.shape[1:]
            kinds = [(split, word) for split, word, *_ in lines]
            for kind in dict.fromkeys(kinds):
                _append(staged / array_place(*kind), shape, images[[k for k, each in enumerate(kinds) if each == kind]])
            for (split, word, *more), kind in zip(lines, kinds, strict=True):
                index.writerow((split, word, array_place(split, word), rows[kind], *more))
                rows[kind] += 1
            done += len(lines)
            progress("writing", done, total, unit="pictures")
    for kind, count in rows.items():
        with (staged / array_place(*kind)).open("r+b") as file:
            file.write(_header(count, shape))
    return {split: tuple(rows[split, word] for word in classes) for split in SPLITS if any(s == split for s, _ in rows)}


def rows_of(path: Path) -> int:
    """How many pictures an array holds; 0 if it cannot be read."""
    try:
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
