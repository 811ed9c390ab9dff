"""The one way from `Drawings` to images: training, evaluation, prediction and pictures all come through here."""

from dataclasses import dataclass

from pipeline.augment import Augmentation, augment
from pipeline.drawings import Drawings, Int64Array, UInt8Array
from pipeline.raster import render_batch


@dataclass(frozen=True)
class RenderConfig:
    """How drawings become images.

    Attributes:
        size: pixels of an image's side.
        line_width: pixels; None is 5 pixels on a canvas of 256, scaled.
    """

    size: int = 64
    line_width: float | None = None


def render(drawings: Drawings, config: RenderConfig, *, out: UInt8Array | None = None) -> UInt8Array:
    """N drawings as (N, size, size, 3) uint8, RGB on black; `out` is filled and returned where it is given."""
    return render_batch(
        drawings.x, drawings.y, drawings.stroke_end, drawings.drawing_end,
        size=config.size, line_width=config.line_width, out=out,
    )  # fmt: skip


def render_augmented(
    drawings: Drawings,
    rows: Int64Array,
    config: RenderConfig,
    augmentation: Augmentation,
    *,
    seed: int,
    epoch: int,
    out: UInt8Array | None = None,
) -> UInt8Array:
    """The same after `augment`, whose arguments these are."""
    x, y = augment(drawings, rows, augmentation, seed=seed, epoch=epoch)
    return render_batch(
        x, y, drawings.stroke_end, drawings.drawing_end, size=config.size, line_width=config.line_width, out=out
    )
