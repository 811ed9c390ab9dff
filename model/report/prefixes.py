"""Predicts unfinished drawings: the first tenth of their points, two tenths, up to the whole."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.report.outputs import Outputs
from model.scoring.evaluate import Predictions
from model.scoring.metrics import ranks
from model.scoring.predict import Predictor
from pipeline.arrays import Int64Array, UInt8Array
from pipeline.drawings import Drawings
from pipeline.progress import Progress, untold
from pipeline.rendering.prefix import points_of
from pipeline.rendering.render import render_leading

PARTS = 10  # prefixes of each drawing; the last is the whole drawing
MOST_DRAWINGS = 2000
_CHUNK = 256  # drawings predicted at a time


@dataclass(frozen=True)
class Prefixes:
    """The predictions for prefixes of N drawings: their first tenth, two tenths, up to the whole drawing.

    Attributes:
        chosen: (N,) int64, the places of the drawings in the outputs.
        best: (PARTS, N) int64, the most probable label.
        confidence: (PARTS, N) float32, the probability of the best label.
        rank: (PARTS, N) int64, the number of labels that are more probable than the true one.
    """

    chosen: Int64Array
    best: Int64Array
    confidence: NDArray[np.float32]
    rank: Int64Array


def sample_of(outputs: Outputs, seed: int = 0) -> Int64Array:
    """A random sample of `MOST_DRAWINGS` places in the outputs, or all if there are fewer, in increasing order."""
    if len(outputs) <= MOST_DRAWINGS:
        return np.arange(len(outputs))
    return np.sort(np.random.default_rng(seed).choice(len(outputs), MOST_DRAWINGS, replace=False))


def leading_points(drawings: Drawings, part: int) -> Int64Array:
    """(N,) int64, the number of points in the first `part` of `PARTS` parts of each drawing, at least one."""
    return np.maximum(-(-points_of(drawings) * part // PARTS), 1)


def images_of(drawings: Drawings, part: int, predictor: Predictor, *, mirrored: bool = False) -> UInt8Array:
    """(N, H, W, C) uint8, the first `part` of `PARTS` parts of each drawing, as the network sees them."""
    config = predictor.run.config.render_config()
    return render_leading(drawings, leading_points(drawings, part), config, mirrored=mirrored)


def predict_prefixes(
    outputs: Outputs,
    chosen: Int64Array,
    read: Callable[[Int64Array], Drawings],
    predictor: Predictor,
    progress: Progress = untold,
) -> Prefixes:
    """Predict the prefixes of some drawings.

    Args:
        outputs: the predictions for a split.
        chosen: (N,) int64, the places of the drawings in the outputs.
        read: reads the drawings at some places in the outputs.
        predictor: predicts the images; if it also predicts mirror images, each prefix is rendered twice.
        progress: counts images.
    """
    sides = (False, True) if predictor.mirror else (False,)
    found: list[list[tuple[Int64Array, NDArray[np.float32], Int64Array]]] = [[] for _ in range(PARTS)]
    for start in range(0, len(chosen), _CHUNK):
        some = chosen[start : start + _CHUNK]
        drawings, labels = read(some), outputs.label[some].astype(np.int32)
        for part in range(1, PARTS + 1):
            images = [images_of(drawings, part, predictor, mirrored=one) for one in sides]
            predicted = Predictions(some, labels, tuple(map(predictor.logits, images)), predictor.loaded.temperature)
            best = predicted.ranked.argmax(axis=1)
            confidence = predicted.probabilities[np.arange(len(best)), best]
            found[part - 1].append((best, confidence, ranks(predicted.ranked, labels)))
            done = PARTS * start + part * len(some)
            progress("report, unfinished drawings", done, PARTS * len(chosen), unit="drawings")
    best, confidence, rank = (
        np.stack([np.concatenate([one[k] for one in parts]) for parts in found]) for k in range(3)
    )  # fmt: skip
    return Prefixes(chosen, best, confidence, rank)
