"""Animates how a drawing was drawn, as the frames of a GIF."""

import dataclasses
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.arrays import Float64Array, Int64Array, UInt8Array
from pipeline.drawings import Drawings
from pipeline.errors import InputError, UsageError
from pipeline.pictures.sheet import labels_of
from pipeline.rendering.augment import centre
from pipeline.rendering.render import RenderConfig, render
from pipeline.shards.find import existing_folder
from pipeline.shards.layout import ShardPlan
from pipeline.shards.manifest import read_manifest
from pipeline.shards.read import open_split
from pipeline.shards.schema import integers
from pipeline.shards.shuffle import SPLITS, order_hash, parse_splits, part_of, split_of

FRAME_CENTISECONDS = 5
LAST_CENTISECONDS = 100  # the whole drawing is shown before the animation repeats
MIN_SIZE, MAX_SIZE = 16, 512  # pixels
MIN_SECONDS, MAX_SECONDS = 0.1, 20.0
_COLOURS = 256  # that a GIF can have


@dataclass(frozen=True)
class ReplayConfig:
    """How a drawing is replayed.

    Attributes:
        render: the render settings of the frames.
        seconds: how long the drawing takes; after that the whole drawing is shown for another second.
    """

    render: RenderConfig = dataclasses.field(default_factory=lambda: RenderConfig(256))
    seconds: float = 3.0

    def __post_init__(self) -> None:
        if not MIN_SIZE <= self.render.size <= MAX_SIZE:
            raise UsageError(f"size {self.render.size}: expected {MIN_SIZE} to {MAX_SIZE} pixels")
        if not MIN_SECONDS <= self.seconds <= MAX_SECONDS:
            raise UsageError(f"seconds {self.seconds:g}: expected {MIN_SECONDS} to {MAX_SECONDS:.0f}")


def find_drawing(shards: Path, key_id: int) -> tuple[Drawings, int]:
    """Find the first drawing with this key_id; returns it and how many there are, which is 1 unless sources repeat it.

    Only the one shard that can hold the key_id is read.

    Raises:
        InputError: no drawing has this key_id.
        UsageError: the key_id is out of range.
        ShardError: the shards are damaged.
    """
    if not 0 <= key_id < 1 << 64:
        raise UsageError(f"key_id {key_id}: expected a whole number from 0 to 2**64 - 1")
    nothing = InputError(f"{shards}: no drawing has the key_id {key_id}; the index of `render pictures` lists them all")
    manifest = read_manifest(existing_folder(shards))
    key = np.array([key_id], np.uint64)
    name = SPLITS[int(split_of(key, parse_splits(manifest.options["splits"]))[0])]
    if not manifest.rows(name):
        raise nothing
    split = open_split(shards, name)
    plans = [ShardPlan.of_name(file.name) for file in split.files]
    index = int(part_of(order_hash(key, manifest.options["seed"]), plans[0].count)[0])
    rows: list[int] = []
    for group, (shard, _) in enumerate(split.row_groups.tolist()):
        if plans[shard].index == index:
            keys = integers(split.read_table(group, ("key_id",)).column("key_id"), np.uint64)
            rows += (np.flatnonzero(keys == key) + split.row_starts[group]).tolist()
    if not rows:
        raise nothing
    return split.read_rows(np.array(rows[:1])), len(rows)


def random_drawing(shards: Path, split_name: str, classes: Sequence[str] | None, seed: int | None) -> Drawings:
    """Choose one drawing of a split, of any of `classes`; a seed always gives the same one, None another each time.

    Raises:
        InputError: the split has no drawing of these classes.
        UsageError: the seed is negative.
        ShardError: the shards are damaged.
    """
    if seed is not None and seed < 0:
        raise UsageError(f"seed {seed}: expected 0 or more")
    split = open_split(shards, split_name)
    wanted = labels_of(shards, split.manifest, classes)
    total = sum(split.manifest.counts[split_name][label] for label in wanted)
    if not total:
        raise InputError(
            f"{shards}: its {split_name} split has no drawing of {', '.join(classes or ())}; choose another split"
        )
    left = random.Random(seed).randrange(total)
    for group in range(len(split.row_groups)):
        labels = integers(split.read_table(group, ("label",)).column("label"), np.uint16)
        rows = np.flatnonzero(np.isin(labels, wanted)) + split.row_starts[group]
        if left < len(rows):
            break
        left -= len(rows)
    return split.read_rows(rows[left : left + 1])


def replay(drawing: Drawings, config: ReplayConfig) -> UInt8Array:
    """Render the frames that show a drawing being drawn: (F, size, size, C) uint8, the last one the whole drawing.

    Shards keep no times, so each piece of a line takes time in proportion to its length, and the pen jumps between
    strokes.
    """
    margin = config.render.margin
    x, y = (drawing.x, drawing.y) if margin is None else centre(drawing, margin)  # else prefixes would move
    count = max(2, round(config.seconds * 100 / FRAME_CENTISECONDS))
    frames = _prefixes(x.astype(np.float64), y.astype(np.float64), drawing.stroke_end, count)
    placed = dataclasses.replace(config.render, framing="corner", line_width=config.render.width)
    return render(dataclasses.replace(drawing.take(np.zeros(count, np.int64)), **frames), placed)


def encode_gif(frames: UInt8Array) -> bytes:
    """Encode (F, H, W, C) uint8 frames as a GIF file that repeats; the last is shown for `LAST_CENTISECONDS`.

    All frames share one palette, nothing is dithered, and each frame stores only the pixels that differ from the
    previous one.
    """
    changed = np.concatenate([_packed(frames[0]).ravel(), *map(_changed, frames[:-1], frames[1:])])
    found = np.unique(changed)
    palette = _palette(changed, found)
    nearest = np.array([((palette - colour) ** 2).sum(axis=1).argmin() for colour in _rgb(found)], np.uint8)
    table = palette.astype(np.uint8).tobytes()

    def indexed(frame: UInt8Array) -> Image.Image:
        image = Image.fromarray(nearest[np.searchsorted(found, _packed(frame))], "P")
        image.putpalette(table)
        return image

    times = [10 * FRAME_CENTISECONDS] * (len(frames) - 1) + [10 * LAST_CENTISECONDS]  # Pillow takes milliseconds
    file = io.BytesIO()
    indexed(frames[0]).save(
        file, format="GIF", save_all=True, append_images=map(indexed, frames[1:]), palette=table, duration=times,
        loop=0, disposal=1, interlace=0, optimize=False,
    )  # fmt: skip
    return file.getvalue()


def _packed(frame: UInt8Array) -> NDArray[np.uint32]:
    """(H, W) uint32, the colours of an (H, W, C) frame as 0xRRGGBB."""
    colours = frame if frame.shape[2] == 3 else np.repeat(frame, 3, axis=2)
    packed: NDArray[np.uint32] = colours.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    return packed


def _changed(before: UInt8Array, after: UInt8Array) -> NDArray[np.uint32]:
    """The packed colours of the pixels of `after` that differ from `before`."""
    differ = (before != after).any(axis=2)
    return _packed(after[differ][None]).ravel()


def _palette(changed: NDArray[np.uint32], found: NDArray[np.uint32]) -> Int64Array:
    """(K, 3) int64, at most 256 colours for these pixels: their own if so few, else black and a median cut."""
    if len(found) <= _COLOURS:
        return _rgb(found)
    lit = _rgb(changed[changed != 0]).astype(np.uint8)
    cut = Image.fromarray(lit[None]).quantize(_COLOURS - 1, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return np.concatenate([np.zeros((1, 3), np.int64), np.array(cut.getpalette()).reshape(-1, 3)])


def _rgb(packed: NDArray[np.uint32]) -> Int64Array:
    """(K, 3) int64, the red, green and blue of K packed colours."""
    return (packed[:, None] >> np.array([16, 8, 0], np.uint32) & 0xFF).astype(np.int64)


def _prefixes(x: Float64Array, y: Float64Array, stroke_end: Int64Array, count: int) -> dict[str, Any]:
    """The fields of `Drawings` for prefixes of 1/count, 2/count, ... of the length of a drawing.

    A prefix may end between two points of the drawing.

    Args:
        x: (P,) float64, from left to right.
        y: (P,) float64, from top to bottom.
        stroke_end: (S,) int64, the end of each stroke in `x` and `y`.
        count: how many prefixes; the last one is the whole drawing.
    """
    first = np.concatenate([[0], stroke_end[:-1]])
    moved = np.hypot(np.diff(x, prepend=x[0]), np.diff(y, prepend=y[0]))
    moved[first] = 1  # instead of the length of the jump; so that a dot takes time too
    reached = np.cumsum(moved)  # the length of the line up to each point
    xs, ys, stroke_ends, drawing_ends = [], [], [], []
    points = strokes = 0
    for k in range(1, count + 1):
        at = reached[-1] * k / count
        whole = len(x) if k == count else max(1, int(np.searchsorted(reached, at, side="right")))
        xs.append(x[:whole])
        ys.append(y[:whole])
        ends = np.append(stroke_end[stroke_end < whole], whole)
        if at > reached[whole - 1] and whole not in stroke_end:  # the prefix ends before the next point
            part = (at - reached[whole - 1]) / moved[whole]
            xs.append(x[whole - 1 : whole] + part * (x[whole : whole + 1] - x[whole - 1]))
            ys.append(y[whole - 1 : whole] + part * (y[whole : whole + 1] - y[whole - 1]))
            ends[-1] += 1
        stroke_ends.append(ends + points)
        points += int(ends[-1])
        strokes += len(ends)
        drawing_ends.append(strokes)
    # Points between those of the drawing are not integers; the renderer takes integers and floats.
    return {
        "x": np.concatenate(xs).astype(np.float32),
        "y": np.concatenate(ys).astype(np.float32),
        "stroke_end": np.concatenate(stroke_ends),
        "drawing_end": np.array(drawing_ends, np.int64),
    }
