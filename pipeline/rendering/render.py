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
MARGIN = 1.5  # line widths: half a width for the line itself, one for the miters of corners of 39 degrees and more
WIDEST_MARGIN = CANVAS / 4  # so that a drawing keeps half of the canvas even with the thickest lines


@dataclass(frozen=True)
class RenderConfig:
    """The render settings.

    Attributes:
        size: width and height of an image, pixels.
        line_width: pixels; None scales a width of 5 pixels on a canvas of 256 to the size.
        encoding: what the channels of a pixel show, a name in `pipeline.rendering.raster.ENCODINGS`.
        framing: "corner" leaves drawings where they are stored, as Google aligns them: at the top left, with a larger
            side of 255 of 256 canvas pixels, so that lines on the border are cut. "centred" moves each drawing into the
            middle and scales its larger side so that a margin has room for the line.

    Raises:
        UsageError: an attribute has an invalid value.
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
        """The length of an image's last axis."""
        return encoding_of(self.encoding).channels

    @property
    def width(self) -> float:
        """The width of the line, in pixels of the image."""
        return self.size * LINE_WIDTH if self.line_width is None else float(self.line_width)

    @property
    def margin(self) -> float | None:
        """The margin around centred drawings, in pixels of a canvas of 256; None if drawings are not moved."""
        if self.framing == "corner":
            return None
        return min(MARGIN * self.width * CANVAS / self.size, WIDEST_MARGIN)


class RenderSettings(TypedDict, total=False):
    """The keyword arguments of `render`: the attributes of `RenderConfig`, which documents them."""

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
        mirrored: whether to mirror the strokes left to right, within the box of each drawing. Mirroring the pixels
            would leave wrong colours where they show a direction.
        out: the array to fill and return; None makes one.
        **settings: `size`, `line_width`, `encoding` and `framing`, which replace those of `config`.

    Raises:
        UsageError: a setting has an invalid value.
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
    """Render unfinished drawings, as `render` does whole ones.

    With framing "centred" the unfinished drawing is centred; with "corner" it has the corner and the size of the whole
    drawing. `augment` does the same with the drawings that its `prefix` cuts.

    Args:
        drawings: the whole drawings.
        points: (N,) int64, how many of its first points each drawing keeps, from 1 to all.
        config: the render settings.
        mirrored: whether to mirror the strokes left to right.
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
    """Augment drawings, then render them; the arguments are those of `augment`, with the margin of `config`."""
    changed = augment(drawings, rows, augmentation, seed=seed, epoch=epoch, margin=config.margin)
    return render_batch(
        changed.x, changed.y, changed.stroke_end, changed.drawing_end,
        size=config.size, line_width=changed.line_width * config.width, encoding=config.encoding, out=out,
    )  # fmt: skip


def _mirrored(drawings: Drawings) -> UInt8Array:
    """(P,) uint8, x of the points, mirrored between the leftmost and the rightmost point of each drawing."""
    points = np.append(0, drawings.stroke_end)[drawings.drawing_end]
    starts = np.append(0, points[:-1])
    drawn = points > starts
    x = drawings.x[: points[-1] if len(points) else 0].astype(np.int64)
    if not drawn.any():
        return drawings.x
    left, right = (ends.reduceat(x, starts[drawn]) for ends in (np.minimum, np.maximum))
    return (np.repeat(left + right, (points - starts)[drawn]) - x).astype(np.uint8)
