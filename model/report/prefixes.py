"""How early a drawing can be guessed: what a network says of its first tenth, of two tenths, ... of the whole."""

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
from pipeline.rendering.prefix import points_of
from pipeline.rendering.render import render_leading

PARTS = 10
MOST_DRAWINGS = 2000
_CHUNK = 256


@dataclass(frozen=True)
class Prefixes:
    """What a network says of prefixes of N drawings, tenths of their points; the last is the whole drawing.

    Attributes:
        chosen: (N,) int64, which drawings of the outputs these are.
        best: (PARTS, N) int64, the label put first.
        confidence: (PARTS, N) float32, its probability.
        rank: (PARTS, N) int64, how many labels are put before the true one.
    """

    chosen: Int64Array
    best: Int64Array
    confidence: NDArray[np.float32]
    rank: Int64Array


def sample_of(outputs: Outputs, seed: int = 0) -> Int64Array:
    """`MOST_DRAWINGS` of the outputs, each as likely as any other, or all where there are fewer; in their order."""
    if len(outputs) <= MOST_DRAWINGS:
        return np.arange(len(outputs))
    return np.sort(np.random.default_rng(seed).choice(len(outputs), MOST_DRAWINGS, replace=False))


def leading_points(drawings: Drawings, part: int) -> Int64Array:
    """(N,) int64, the points of the first `part` of `PARTS` of each drawing, one at least."""
    return np.maximum(-(-points_of(drawings) * part // PARTS), 1)


def images_of(drawings: Drawings, part: int, predictor: Predictor, *, mirrored: bool = False) -> UInt8Array:
    """(N, H, W, C) uint8, the first `part` of `PARTS` of each drawing as the network sees it."""
    config = predictor.run.config.render_config()
    return render_leading(drawings, leading_points(drawings, part), config, mirrored=mirrored)


def name_prefixes(
    outputs: Outputs,
    chosen: Int64Array,
    read: Callable[[Int64Array], Drawings],
    predictor: Predictor,
    progress: Callable[[int, int], None] = lambda _count, _total: None,
) -> Prefixes:
    """Name the prefixes of some drawings.

    Args:
        outputs: the drawings of a split.
        chosen: (N,) int64, which of them.
        read: gives the drawings at some places of the outputs.
        predictor: names them; with its mirror image, each prefix is looked at twice.
        progress: told of so many more images, and of how many there are.
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
            progress(len(some), PARTS * len(chosen))
    best, confidence, rank = (
        np.stack([np.concatenate([one[k] for one in parts]) for parts in found]) for k in range(3)
    )  # fmt: skip
    return Prefixes(chosen, best, confidence, rank)
