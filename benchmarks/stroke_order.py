"""Fits the weights with which the order and the directions of traced strokes are guessed, to real drawings.

    python benchmarks/stroke_order.py SHARDS [--drawings N]

Takes N drawings of the train split at random and prints `FIRST` and `NEXT` of pipeline/tracing/order.py: the weights of
a conditional logit that make the order in which people drew most probable. Drawings of more than 25 strokes are left
out. The mean log-likelihood of a choice is printed beside that of guessing evenly, over the same drawings.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from training import positive

from pipeline.arrays import Float64Array
from pipeline.shards.read import open_split
from pipeline.tracing.order import JUMP_FEATURES, STROKE_FEATURES, Strokes, jump_features, stroke_features

MOST_STROKES = 25
PENALTY = 1e-4  # of the square of a weight, of features scaled to a standard deviation of 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--drawings", type=positive, default=4000, help="%(default)s")
    options = parser.parse_args()
    split = open_split(options.shards, "train")
    rows = np.random.default_rng(0).choice(len(split), min(options.drawings, len(split)), replace=False)
    drawings = split.read_rows(np.sort(rows))
    first: list[Float64Array] = []
    later: list[Float64Array] = []
    for k in range(len(drawings)):
        strokes = [np.array(stroke, np.float64).T for stroke in drawings.strokes(k)]
        if len(strokes) <= MOST_STROKES:
            add_choices(strokes, first, later)
    for name, choices, features in (
        ("FIRST", first, STROKE_FEATURES), ("NEXT", later, (*STROKE_FEATURES, *JUMP_FEATURES)),
    ):  # fmt: skip
        weights, likelihood, even = fitted(choices)
        print(f"{name} = ({', '.join(f'{weight:.2f}' for weight in weights)})")
        print(f"    # {', '.join(features)}")
        print(f"    # {len(choices):,} choices, log-likelihood {likelihood:.3f} each, evenly {even:.3f}")


def add_choices(strokes: Strokes, first: list[Float64Array], later: list[Float64Array]) -> None:
    """Append what was chosen from in each step: the features of the strokes left, of which the first was taken."""
    features, ends = stroke_features(strokes)
    count = len(strokes)
    for k in range(count):
        left = np.concatenate([np.arange(k, count), np.arange(k, count) + count])
        if k == 0:
            first.append(features[left])
        else:
            later.append(np.hstack([features[left], jump_features(ends[k - 1, 1], ends[left, 0])]))


def fitted(choices: list[Float64Array]) -> tuple[Float64Array, float, float]:
    """The weights of a conditional logit, its log-likelihood, and that of even chances."""
    lengths = np.array([len(rows) for rows in choices])
    starts = np.cumsum(lengths) - lengths
    which = np.repeat(np.arange(len(lengths)), lengths)
    features = np.concatenate(choices)
    scale = features.std(axis=0)
    scaled = features / scale

    def loss(weights: Float64Array) -> tuple[float, NDArray[np.float64]]:
        utility = scaled @ weights
        largest = np.maximum.reduceat(utility, starts)
        odds = np.exp(utility - largest[which])
        total = np.add.reduceat(odds, starts)
        likelihood = (utility[starts] - largest - np.log(total)).mean()
        slope = (scaled[starts].sum(axis=0) - (odds / total[which]) @ scaled) / len(lengths)
        return PENALTY * (weights @ weights) - likelihood, 2 * PENALTY * weights - slope

    found = minimize(loss, np.zeros(len(scale)), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return found.x / scale, -float(found.fun), -float(np.log(lengths).mean())


if __name__ == "__main__":
    main()
