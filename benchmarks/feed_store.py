"""Writes drawings in the forms that the peers of benchmarks/feed.py read, before the clock starts.

The forms are faster to read than those in use. Points are (P, 2) int32 as `cv2.polylines` takes them: fixed point at 64
pixels for the recipe "straight", canvas points for "reduced". They are stored in Parquet files, a row for each drawing,
as uncompressed binary, so that a stroke is a view of the bytes that were read; or in memory, each stroke as an array.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from raster_peers import SIZE, Image, Stroke, draw_reduced, draw_straight, to_fixed_point

from pipeline.shards.read import open_split

RECIPES = ("straight", "reduced")
BATCH = 256
WINDOW = 8  # row groups that are shuffled together when drawings are streamed
ROW_GROUP_ROWS = 1024
READERS = (1, 2)  # numbers of reading processes, each of which has its own file

Batch = tuple[
    Any, Any, Any
]  # images (256, 64, 64, 3) uint8, labels (256,) and rows (256,), all as arrays of the library


def write_store(shards: Path, to: Path, recipe: str) -> int:
    """Write the training drawings of `shards` for a recipe; returns how many there are."""
    split = open_split(shards, "train")
    points_of, ends_of, labels = [], [], []
    for group in range(len(split.row_groups)):
        drawings = split.read_row_group(group)
        points = np.stack([drawings.x, drawings.y], 1).astype(np.int32)
        points = to_fixed_point(points) if recipe == "straight" else points
        ends = np.append(0, drawings.stroke_end)
        firsts = np.append(0, drawings.drawing_end).tolist()
        for first, last in itertools.pairwise(firsts):
            points_of.append(points[ends[first] : ends[last]].tobytes())
            ends_of.append((ends[first + 1 : last + 1] - ends[first]).astype(np.int32).tobytes())
        labels += drawings.word.tolist()
    table = pa.table(
        {
            "points": pa.array(points_of, pa.binary()),
            "stroke_end": pa.array(ends_of, pa.binary()),
            "label": pa.array(labels, pa.int32()),
            "row": pa.array(range(len(split)), pa.int64()),
        }
    )
    to.mkdir()
    for readers in READERS:
        each = -(-len(split) // readers)
        for number, path in enumerate(store_files(to, readers)):
            part = table.slice(number * each, each)
            pq.write_table(part, path, row_group_size=ROW_GROUP_ROWS, compression="none", use_dictionary=False)
    return len(split)


def store_files(folder: Path, readers: int) -> list[str]:
    """The files that hold all drawings, one file for each of `readers`."""
    return [str(folder / f"{number}-of-{readers}.parquet") for number in range(readers)]


@dataclass(frozen=True)
class Store:
    """All drawings in memory.

    Attributes:
        strokes: for each drawing, the arrays that OpenCV takes.
        labels: (N,) int32.
        recipe: the recipe that the strokes are made for.
    """

    strokes: list[list[Stroke]]
    labels: NDArray[np.int32]
    recipe: str

    def __len__(self) -> int:
        return len(self.labels)

    def draw(self, rows: Sequence[int], images: Image) -> None:
        """Draw rows into black (B, 64, 64, 3) images."""
        draw_all([self.strokes[row] for row in rows], images, self.recipe)

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """Draw rows into a new array."""
        images = black(len(rows))
        self.draw(rows.tolist(), images)
        return images, self.labels[rows], rows


def read_store(folder: Path) -> Store:
    """Read a store that `write_store` wrote."""
    table = pq.read_table(store_files(folder, 1)[0])
    points, ends = table["points"].to_pylist(), table["stroke_end"].to_pylist()
    strokes = [strokes_of(*row) for row in zip(points, ends, strict=True)]
    return Store(strokes, table["label"].to_numpy(), folder.name)


def strokes_of(points: bytes, stroke_end: bytes) -> list[Stroke]:
    """A row's strokes, as views of its bytes."""
    whole = np.frombuffer(points, np.int32).reshape(-1, 2)
    ends = np.frombuffer(stroke_end, np.int32).tolist()
    return [whole[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def black(count: int) -> Image:
    return np.zeros((count, SIZE, SIZE, 3), np.uint8)


def draw_all(drawings: list[list[Stroke]], images: Image, recipe: str) -> None:
    """Draw each drawing into its black image with OpenCV."""
    if recipe == "straight":
        for image, strokes in zip(images, drawings, strict=True):
            draw_straight(image, strokes)
        return
    canvas = np.empty((256, 256, 3), np.uint8)
    for image, strokes in zip(images, drawings, strict=True):
        draw_reduced(image, strokes, canvas)
