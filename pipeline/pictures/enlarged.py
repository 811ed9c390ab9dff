"""Draws one drawing large enough to look at, beside the image that a network sees."""

from dataclasses import replace

import numpy as np

from pipeline.arrays import UInt8Array
from pipeline.drawings import Drawings
from pipeline.rendering.render import RenderConfig, render

PIXELS = 256
_GAP = 8  # pixels between the two images
_BACKGROUND = 64  # grey, so that the edges of black images are visible


def enlarged(config: RenderConfig, pixels: int) -> RenderConfig:
    """Render settings for an image of `pixels`, with lines of the same width relative to it."""
    return replace(config, size=pixels, line_width=pixels / config.size * config.width)


def beside_enlarged(drawing: Drawings, image: UInt8Array, config: RenderConfig) -> UInt8Array:
    """Draw a drawing rendered at `PIXELS` pixels, and to its right the image that the network sees.

    Args:
        drawing: one drawing.
        image: (H, H, C) uint8, the drawing rendered with `config`.
        config: the render settings.

    Returns:
        (256, 264 + H, C) uint8; or `image`, if that is as large.
    """
    size = image.shape[0]
    if size >= PIXELS:
        return image
    picture = np.full((PIXELS, PIXELS + _GAP + size, image.shape[2]), _BACKGROUND, np.uint8)
    picture[:, :PIXELS] = render(drawing, enlarged(config, PIXELS))[0]
    picture[:size, PIXELS + _GAP :] = image
    return picture
