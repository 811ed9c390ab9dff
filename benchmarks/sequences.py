"""The strokes themselves as sequences of a fixed length, beside the images that the loader renders of them.

    python benchmarks/sequences.py SHARDS

The command compares the CPU time of the loader with and without sequences: augmented batches of 128 of the training
split, the best of five epochs each, in turn.

A sequence is `(L, 6) float32`: for each point dx, dy and length of the step to it from the point before, in 64 canvas
pixels; the pen, 1 if that step was drawn, -1 if it was not (the first point of a stroke); x and y, -1 to 1 over the
canvas. After the last point of a drawing all are 0. Of a drawing with more than L points, L are taken at equal steps of
their numbers, the first and the last included. A sequence is made of the same augmented points as the image.
"""

import argparse
import itertools
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline.arrays import Float32Array, Int64Array
from pipeline.drawings import Drawings
from pipeline.jit import kernel
from pipeline.loading.blocks import Share
from pipeline.loading.loader import Batch, Loader, LoaderConfig
from pipeline.rendering.augment import Augmentation, augment, centre
from pipeline.rendering.augment_kernels import CANVAS
from pipeline.rendering.raster import render_batch
from pipeline.rendering.render import RenderConfig
from pipeline.shards.read import ShardSplit, open_split
from pipeline.threads import core_count

CHANNELS = 6
LENGTH = 96  # of the command
EPOCHS = 5
STEP = 64.0  # canvas pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path)
    split = open_split(parser.parse_args().shards, "train")
    config = LoaderConfig(
        128, render=RenderConfig(64, 1.25, "order", "centred"), augmentation=Augmentation(), threads=core_count()
    )
    loaders = {"images": Loader(split, config), "and sequences": CarryingLoader(split, config, LENGTH)}
    seconds: dict[str, list[float]] = {name: [] for name in loaders}
    for epoch, (name, loader) in itertools.product(range(EPOCHS + 1), loaders.items()):
        start = time.process_time()
        for batch in loader.epoch(epoch):
            loader.give_back(batch)
        if epoch:  # the first reads the shards, and compiles kernels
            seconds[name].append(time.process_time() - start)
    print(machine(("numba",)))
    for name, found in seconds.items():
        rate = len(loaders[name]) * config.batch / min(found)
        print(f"{name}: {rate:,.0f} a CPU second, {min(seconds['images']) / min(found):.2f} of images alone")


def sequences_of(
    x: Float32Array, y: Float32Array, stroke_end: Int64Array, drawing_end: Int64Array, length: int
) -> Float32Array:
    """(N, length, CHANNELS) float32, the sequences of N drawings; `length` is 2 or more.

    Args:
        x: (P,) float32, canvas pixels.
        y: (P,) float32, the same.
        stroke_end: (S,) int64, ends of the strokes in `x` and `y`.
        drawing_end: (N,) int64, ends of the drawings in `stroke_end`.
        length: the number of points.
    """
    out = np.zeros((len(drawing_end), length, CHANNELS), np.float32)
    fill_sequences(x, y, stroke_end, drawing_end, out)
    return out


@kernel
def fill_sequences(
    x: Float32Array, y: Float32Array, stroke_end: Int64Array, drawing_end: Int64Array, out: Float32Array
) -> None:
    """Fill `out`, (N, L, CHANNELS), which must be zeros."""
    one_step, half = np.float32(1 / STEP), np.float32(2 / CANVAS)
    length = out.shape[1]
    first, begin = 0, 0
    for n in range(len(drawing_end)):
        last = drawing_end[n]
        end = stroke_end[last - 1] if last > first else begin
        points = end - begin
        stroke, before = first, begin
        for k in range(min(points, length)):
            p = begin + (k if points <= length else k * (points - 1) // (length - 1))
            drawn = k > 0
            while stroke_end[stroke] <= p:
                stroke += 1
                drawn = False
            dx, dy = (x[p] - x[before]) * one_step, (y[p] - y[before]) * one_step
            out[n, k, 0] = dx
            out[n, k, 1] = dy
            out[n, k, 2] = np.sqrt(dx * dx + dy * dy)
            out[n, k, 3] = np.float32(1) if drawn else np.float32(-1)
            out[n, k, 4] = x[p] * half - np.float32(1)
            out[n, k, 5] = y[p] * half - np.float32(1)
            before = p
        first, begin = last, end


def whole_sequences(drawings: Drawings, render: RenderConfig, length: int, *, mirrored: bool = False) -> Float32Array:
    """(N, length, CHANNELS) float32, the sequences of drawings as they are rendered with framing "centred"."""
    x, y = centre(drawings, render.margin or 0.0)
    if mirrored:
        x = np.float32(CANVAS) - x
    return sequences_of(x, y, drawings.stroke_end, drawings.drawing_end, length)


def carried(labels: NDArray[Any], rows: Int64Array, sequences: Float32Array | None = None) -> NDArray[Any]:
    """(B,) structured: the labels and rows of a batch, and its sequences if there are any.

    The feed passes a batch's labels on, and nothing else beside its images.
    """
    shape = (0,) if sequences is None else sequences.shape[1:]
    out = np.empty(len(labels), [("label", np.int32), ("row", np.int64), ("sequence", np.float32, shape)])
    out["label"], out["row"] = labels, rows
    if sequences is not None:
        out["sequence"] = sequences
    return out


class CarryingLoader(Loader):
    """A loader of training batches whose labels are those of `carried`.

    With a `length` above 0 they have sequences, and the drawings must be augmented.
    """

    def __init__(self, split: ShardSplit, config: LoaderConfig, length: int = 0) -> None:
        super().__init__(split, config)
        self.length = length

    def _render(self, share: Share) -> Batch:
        """As the loader renders; for sequences the augmented points are used twice."""
        config, look = self.config, self.config.render
        if not self.length:
            batch = super()._render(share)
            return replace(batch, labels=carried(batch.labels, batch.rows))
        assert config.augmentation is not None
        packed, rows = share.drawings()
        images = self._buffer()
        with self.times.adding("rendering"):
            changed = augment(
                packed.unpack(self.split.manifest.classes), rows, config.augmentation,
                seed=config.seed, epoch=share.epoch or 0, margin=look.margin,
            )  # fmt: skip
            points = changed.x, changed.y, changed.stroke_end, changed.drawing_end
            width = changed.line_width * look.width
            render_batch(*points, size=look.size, line_width=width, encoding=look.encoding, out=images)
            labels = carried(packed.label, rows, sequences_of(*points, self.length))
        return Batch(images, labels, rows >= 0, rows, share.epoch or 0, share.step, [images])


if __name__ == "__main__":
    main()
