"""Renders `Drawings` with `RenderConfig`, for training, evaluation, prediction and pictures alike."""

from dataclasses import dataclass, replace
from typing import TypedDict, Unpack, get_args

import numpy as np

from pipeline.arrays import Int64Array, UInt8Array
from pipeline.choices import Framing
from pipeline.drawings import Drawings
from pipeline.errors import UsageError
from pipeline.rendering.augment import Augmentation, augment, centre
from pipeline.rendering.augment_kernels import CANVAS
from pipeline.rendering.prefix import aligned_as, leading
from pipeline.rendering.raster import LINE_WIDTH, SIZE_LIMIT, encoding_of, render_batch

FRAMINGS: tuple[str, ...] = get_args(Framing)
MARGIN = 1.5  # line widths: half of one is the line itself, a second the miters of corners of 39 degrees and more
WIDEST_MARGIN = CANVAS / 4  # so that the thickest lines leave drawings half of the canvas


@dataclass(frozen=True)
class RenderConfig:
    """How drawings become images.

    Attributes:
        size: pixels of an image's side.
        line_width: pixels; None is 5 pixels on a canvas of 256, scaled.
        encoding: what a pixel's channels say, a name in `pipeline.rendering.raster.ENCODINGS`.
        framing: "corner" leaves drawings where they are stored, which is where Google aligns them: at the top left,
            their larger side 255 of 256 canvas pixels, so that lines on the border are cut. "centred" puts each into
            the middle, its larger side up to a margin that holds the line.

    Raises:
        UsageError: an attribute has no such value.
    """

    size: int = 64
    line_width: float | None = None
    encoding: str = "palette"
    framing: str = "corner"

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or isinstance(self.size, bool) or not 1 <= self.size <= SIZE_LIMIT:
            raise UsageError(f"size must be 1-{SIZE_LIMIT} pixels, not {self.size!r}")
        width = self.line_width
        if width is not None and not (
            isinstance(width, int | float) and not isinstance(width, bool) and 0 < width <= SIZE_LIMIT
        ):
            raise UsageError(f"line_width must be above 0 and at most {SIZE_LIMIT} pixels, not {width!r}")
        encoding_of(self.encoding)
        if self.framing not in FRAMINGS:
            raise UsageError(f"framing must be {' or '.join(FRAMINGS)}, not {self.framing!r}")

    @property
    def channels(self) -> int:
        """Of an image: its last axis."""
        return encoding_of(self.encoding).channels

    @property
    def width(self) -> float:
        """Of the line, in pixels of the image."""
        return self.size * LINE_WIDTH if self.line_width is None else float(self.line_width)

    @property
    def margin(self) -> float | None:
        """Canvas pixels of 256 around centred drawings; None where they stay where they are stored."""
        if self.framing == "corner":
            return None
        return min(MARGIN * self.width * CANVAS / self.size, WIDEST_MARGIN)


class RenderSettings(TypedDict, total=False):
    """The keywords of `render`: the attributes of `RenderConfig`, which says what they mean and their defaults."""

    size: int
    line_width: float | None
    encoding: str
    framing: str


def render(
    drawings: Drawings,
    config: RenderConfig | None = None,
    *,
    mirrored: bool = False,
    out: UInt8Array | None = None,
    **settings: Unpack[RenderSettings],
) -> UInt8Array:
    """Render N drawings as (N, size, size, C) uint8, light on black.

    Args:
        drawings: what to render.
        config: the render settings; None takes the defaults of `RenderConfig`.
        mirrored: whether to mirror the strokes, left to right in each drawing's own box, and not the pixels: colours
            that tell a direction would not fit.
        out: the array to fill and return; None makes one.
        **settings: `size`, `line_width`, `encoding` and `framing`, in place of those of `config`.

    Raises:
        UsageError: a setting has no such value.
    """
    config = replace(config or RenderConfig(), **settings)
    if mirrored:
        drawings = replace(drawings, x=_mirrored(drawings))
    margin = config.margin
    x, y = (drawings.x, drawings.y) if margin is None else centre(drawings, margin)
    return render_batch(
        x, y, drawings.stroke_end, drawings.drawing_end,
        size=config.size, line_width=config.width, encoding=config.encoding, out=out,
    )  # fmt: skip


def render_leading(
    drawings: Drawings, points: Int64Array, config: RenderConfig, *, mirrored: bool = False
) -> UInt8Array:
    """The same of unfinished drawings: of their first so many points, (N,) from 1 to all.

    They look as `augment` leaves what its `prefix` cuts: put into the middle, or with the corner and the size of the
    whole drawing.
    """
    part = leading(drawings, points)
    if config.framing == "centred":
        return render(part, config, mirrored=mirrored)
    if mirrored:
        part, drawings = replace(part, x=_mirrored(part)), replace(drawings, x=_mirrored(drawings))
    x, y = aligned_as(part, drawings)
    return render_batch(
        x, y, part.stroke_end, part.drawing_end, size=config.size, line_width=config.width, encoding=config.encoding
    )


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
    """The same after `augment`, whose arguments these are; the margin is that of lines of the configured width."""
    changed = augment(drawings, rows, augmentation, seed=seed, epoch=epoch, margin=config.margin)
    return render_batch(
        changed.x, changed.y, changed.stroke_end, changed.drawing_end,
        size=config.size, line_width=changed.line_width * config.width, encoding=config.encoding, out=out,
    )  # fmt: skip


def _mirrored(drawings: Drawings) -> UInt8Array:
    """(P,) uint8, x of strokes that are mirrored between the leftmost and the rightmost point of their drawing."""
    points = np.append(0, drawings.stroke_end)[drawings.drawing_end]
    starts = np.append(0, points[:-1])
    drawn = points > starts
    x = drawings.x[: points[-1] if len(points) else 0].astype(np.int64)
    if not drawn.any():
        return drawings.x
    left, right = (ends.reduceat(x, starts[drawn]) for ends in (np.minimum, np.maximum))
    return (np.repeat(left + right, (points - starts)[drawn]) - x).astype(np.uint8)
