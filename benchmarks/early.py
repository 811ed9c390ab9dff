"""Measures how early a run predicts drawings: after a quarter, a half, three quarters and all of their points.

    python benchmarks/early.py RUN [--shards FOLDER] [--split test] [--mirror]

The whole split is predicted, by the run's best checkpoint; FOLDER is that of the run unless another is given. The page
of `sketchpipe evaluate --report` shows the same for tenths of the points, on a random sample of 2,000 drawings. Top-1
has the standard error of a share of one half, the largest.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from model.compute.devices import choose_devices
from model.runs.find import with_built_in
from model.runs.opening import open_run
from model.scoring.evaluate import labels_in
from model.scoring.loaded import load_best
from model.scoring.metrics import mean_log_probabilities
from model.scoring.predict import Predictor
from pipeline.arrays import Int64Array
from pipeline.drawings import Drawings
from pipeline.rendering.prefix import points_of
from pipeline.rendering.render import render_leading
from pipeline.shards.read import ShardSplit, open_split
from pipeline.shards.shuffle import SPLITS

SHARES = (0.25, 0.5, 0.75, 1.0)  # of the points
CHUNK = 1024  # drawings predicted at a time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--shards", type=Path, help="those of the run")
    parser.add_argument("--split", choices=SPLITS, default="test", help="%(default)s")
    parser.add_argument("--mirror", action="store_true", help="mean with the probabilities of the mirrored strokes")
    options = parser.parse_args()
    choose_devices("auto")
    run = open_run(with_built_in(options.run))
    predictor = Predictor(load_best(run), mirror=options.mirror)
    split = open_split(options.shards or run.shards_folder(), options.split)
    print(f"{split.folder} {split.name}: {len(split):,} drawings, standard error {50 / len(split) ** 0.5:.1f} points")
    print("| points | top-1 | mean over classes |\n|---|---|---|")
    for share, (top1, mean) in zip(SHARES, early_accuracy(predictor, split), strict=True):
        print(f"| {share:.0%} | {top1:.1%} | {mean:.1%} |")


def early_accuracy(predictor: Predictor, split: ShardSplit) -> list[tuple[float, float]]:
    """Top-1 and the mean over classes after each of `SHARES` of the points of all drawings of a split."""
    classes = predictor.classes
    labels = labels_in(classes, split.manifest.classes, split.folder)
    right, total = np.zeros((len(SHARES), len(classes)), np.int64), np.zeros(len(classes))
    for start in range(0, len(split), CHUNK):
        drawings = split[start : start + CHUNK]
        truth = labels[drawings.word]
        np.add.at(total, truth, 1)
        for k, share in enumerate(SHARES):
            np.add.at(right[k], truth[predicted(predictor, drawings, share) == truth], 1)
    seen = total > 0
    return [(float(ones.sum() / total.sum()), float((ones[seen] / total[seen]).mean())) for ones in right]


def predicted(predictor: Predictor, drawings: Drawings, share: float) -> Int64Array:
    """(N,) int64, the most probable label of each drawing after a share of its points."""
    sides = (False, True) if predictor.mirror else (False,)
    config, points = predictor.run.config.render_config(), first_points(drawings, share)
    found = [predictor.logits(render_leading(drawings, points, config, mirrored=side)) for side in sides]
    return np.argmax(found[0] if len(found) == 1 else mean_log_probabilities(found), axis=1)


def first_points(drawings: Drawings, share: float) -> Int64Array:
    """(N,) int64, how many points are a share of each drawing's, rounded up, at least one."""
    return np.maximum(np.ceil(share * points_of(drawings)).astype(np.int64), 1)


if __name__ == "__main__":
    main()
