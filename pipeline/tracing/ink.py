"""Tells ink from paper: a threshold between the two, also where the light is uneven, without specks.

The picture's border shows the colour of the paper, so that lines may be darker or lighter than it, or of another
colour. What counts is how far a pixel's colour is from that of the paper.
"""

import numpy as np
from scipy import ndimage

from pipeline.arrays import Float32Array, Float64Array, UInt8Array
from pipeline.tracing.thinning import BoolArray

LEAST_CONTRAST = 16.0  # of 255 levels, between ink and paper; below that there is none
UNEVEN = 0.08  # of the contrast: paper whose levels vary more is taken for a photograph
BORDER = 0.02  # of the shorter side: the width of the border
BLOCKS = 12  # of the longer side: the blocks in which the paper of a photograph is measured
LEAST_BLOCK = 8  # pixels
PAPER = 80.0  # percent of a block's levels, of which the paper is on the far side of the ink
SPECK = 0.3  # of the square of the line's width: the area of the largest speck
HOLE = 0.15  # of the same square: the area of the largest hole in the ink
NOISE = 5.0  # standard deviations of the paper's noise, which ink must exceed
BLUR = 0.8  # pixels, and
BLUR_SHARE = 0.0015  # of the longer side: the standard deviation of the blur that takes noise off a photograph


def find_ink(picture: UInt8Array) -> BoolArray:
    """Where a picture has ink.

    Args:
        picture: (H, W, C) uint8, RGB or gray.

    Returns:
        (H, W) bool; all False if nothing stands out from the paper.
    """
    levels = picture.astype(np.float32)
    distance = _distance(levels, _border_colour(levels))
    ink = distance > otsu_threshold(distance)
    if not _stands_out(distance, ink):
        return np.zeros(ink.shape, bool)
    if _is_uneven(distance, ink):
        ink = _photographed_ink(levels)
    return without_specks(ink)


def otsu_threshold(levels: Float32Array) -> float:
    """The level, of those from 0 to 255, that separates two classes best; the middle where several do so equally.

    Source: N. Otsu, A threshold selection method from gray-level histograms, IEEE Transactions on Systems, Man, and
    Cybernetics 9 (1979), 62-66, doi:10.1109/TSMC.1979.4310076.
    """
    counts = np.bincount(np.clip(np.rint(levels), 0, 255).astype(np.int64).ravel(), minlength=256).astype(np.float64)
    below, total = np.cumsum(counts)[:-1], counts.sum()
    moment = np.cumsum(counts * np.arange(256))
    both = below * (total - below)
    between = np.where(both > 0, (moment[-1] * below / total - moment[:-1]) ** 2 / np.maximum(both, 1), 0)
    best = np.flatnonzero(between == between.max())
    return float(best.mean()) + 0.5


def line_radius(ink: BoolArray) -> Float64Array:
    """(H, W) float64, how far each pixel of ink is from the border of the ink, pixels; 0 where there is none."""
    distance = ndimage.distance_transform_edt(np.pad(ink, 1))[1:-1, 1:-1]
    radius: Float64Array = np.maximum(distance - 0.5, 0)
    return radius


def without_specks(ink: BoolArray) -> BoolArray:
    """The ink without spots that are smaller than a dot of the pen, and without pinholes; (H, W) bool."""
    area = _pen_width(ink) ** 2
    return ~_without_small(~_without_small(ink, SPECK * area), HOLE * area)


def _pen_width(ink: BoolArray) -> float:
    """The width of a typical line: twice the median radius of the ridges of the ink."""
    radius = line_radius(ink)
    ridge = ink & (radius >= ndimage.maximum_filter(radius, 3))
    return 2 * float(np.median(radius[ridge])) if ridge.any() else 0.0


def _without_small(ink: BoolArray, area: float) -> BoolArray:
    """The ink without its parts, connected by sides or corners, of at most so many pixels."""
    parts, count = ndimage.label(ink, np.ones((3, 3)))
    areas = np.bincount(parts.ravel(), minlength=count + 1)
    keep = areas > area
    keep[0] = False
    kept: BoolArray = keep[parts]
    return kept


def _distance(levels: Float32Array, paper: Float32Array) -> Float32Array:
    """(H, W) float32: how far colours are from the paper's, as the largest difference of a channel."""
    distance: Float32Array = np.abs(levels - paper).max(axis=2)
    return distance


def _border_colour(levels: Float32Array) -> Float32Array:
    """(C,) float32, the median colour of the picture's border."""
    wide = max(1, round(BORDER * min(levels.shape[:2])))
    inside = np.zeros(levels.shape[:2], bool)
    inside[wide:-wide, wide:-wide] = True
    median: Float32Array = np.median(levels[~inside], axis=0).astype(np.float32)
    return median


def _stands_out(distance: Float32Array, ink: BoolArray) -> bool:
    if not ink.any() or ink.all():
        return False
    return float(distance[ink].mean() - distance[~ink].mean()) >= LEAST_CONTRAST


def _is_uneven(distance: Float32Array, ink: BoolArray) -> bool:
    """Whether the levels of the paper vary."""
    paper = ~ndimage.binary_dilation(ink, np.ones((3, 3)), iterations=2)
    if not paper.any():
        return False
    spread = float(np.percentile(distance[paper], 95))
    return spread > UNEVEN * float(distance[ink].mean())


def _photographed_ink(levels: Float32Array) -> BoolArray:
    """The ink of a photograph: noise is blurred, and the paper is measured in blocks.

    Blocks are of paper for the most part, but where lines are dense; what is found first tells whether ink is darker
    or lighter than paper, and then those pixels of each block count that are paper in any case.
    """
    longest = max(levels.shape[:2])
    blur = max(BLUR, BLUR_SHARE * longest)
    smooth = ndimage.gaussian_filter(levels, (blur, blur, 0), truncate=3)
    side = max(LEAST_BLOCK, longest // BLOCKS)
    paper = _paper_colour(smooth, side, 50)
    ink = _above_noise(_distance(smooth, paper))
    if ink.any():
        is_dark = float((smooth - paper)[ink].mean()) < 0
        ink = _above_noise(_distance(smooth, _paper_colour(smooth, side, PAPER if is_dark else 100 - PAPER)))
    return ink


def _above_noise(distance: Float32Array) -> BoolArray:
    """(H, W) bool: where colours are farther from the paper's than Otsu's threshold and the paper's noise."""
    typical = float(np.median(distance))
    noise = 1.4826 * float(np.median(np.abs(distance - typical)))  # the standard deviation, if the noise is normal
    ink: BoolArray = distance > max(otsu_threshold(distance), typical + NOISE * noise)
    return ink if _stands_out(distance, ink) else np.zeros_like(ink)


def _paper_colour(levels: Float32Array, side: int, percentile: float) -> Float32Array:
    """(H, W, C) float32, the colour of the paper around each pixel.

    It is a percentile of the levels in blocks of about `side` pixels, smoothed between the blocks.
    """
    height, width, channels = levels.shape
    rows, columns = max(1, round(height / side)), max(1, round(width / side))
    blocks = np.empty((rows, columns, channels), np.float32)
    for i, band in enumerate(np.array_split(levels, rows, axis=0)):
        for j, block in enumerate(np.array_split(band, columns, axis=1)):
            blocks[i, j] = np.percentile(block, percentile, axis=(0, 1))
    blocks = ndimage.median_filter(blocks, (3, 3, 1), mode="nearest")
    y = (np.arange(height) + 0.5) * rows / height - 0.5
    x = (np.arange(width) + 0.5) * columns / width - 0.5
    places = np.meshgrid(y, x, indexing="ij")
    between = [ndimage.map_coordinates(blocks[..., c], places, order=1, mode="nearest") for c in range(channels)]
    paper: Float32Array = np.stack(between, axis=2)
    return paper
