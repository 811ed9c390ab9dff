"""Predicts the training split with finished runs of `recipes.py`: the soft labels that another network learns from.

    python benchmarks/recipes_teacher.py SHARDS WORK FILE NAME:SEED [NAME:SEED ...]

FILE gets for each row of the training split the logarithm of the mean of the probabilities of all named runs, of the
drawing as it is stored and mirrored, as float16: 95 MB for 137,000 drawings of 345 classes. The averaged weights are
used. Before that the validation split is predicted in the same way, to tell what the teacher is worth.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from machine import say
from recipes_runs import Runs, member_of
from recipes_scores import Devices, Logits, Predictors, labels_of, predicted, weights_by_class
from recipes_training import config_of
from scipy.special import softmax
from settings_table import Setting

from model.compute.devices import choose_devices
from model.scoring.metrics import mean_log_probabilities
from pipeline.shards.read import ShardSplit, open_split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("members", nargs="+", metavar="NAME:SEED")
    options = parser.parse_args()
    devices = tuple(choose_devices("auto", divided=True))
    runs = Runs(options.work, open_split(options.shards, "train"))
    members = [member_of(text) for text in options.members]
    validation = open_split(options.shards, "validation")
    labels = labels_of(validation)
    logits: list[Logits] = []
    for member, both in zip(options.members, predictions(runs, members, validation, devices), strict=True):
        logits += both
        say(f"{member}: mean over classes of validation {worth(both, labels):.2%}, of all so far "
            f"{worth(logits, labels):.2%}")  # fmt: skip
    total = np.zeros((len(runs.split), len(runs.split.manifest.classes)), np.float32)
    for member, both in zip(options.members, predictions(runs, members, runs.split, devices), strict=True):
        for one in both:  # added up one by one: the probabilities of 137,000 drawings take 190 MB
            total += softmax(one, axis=1) / np.float32(len(both) * len(members))
        say(f"{member}: training split predicted")
    stored = np.log(np.maximum(total, 1e-12)).astype(np.float16)
    with options.file.open("wb") as file:
        np.savez(file, logits=stored, shards=runs.split.manifest.checksum, members=options.members)
    right = (total.argmax(axis=1) == labels_of(runs.split)).mean()
    print(f"{options.file}: {len(members)} networks; top-1 of the training split {right:.2%}")


def predictions(
    runs: Runs, members: list[tuple[str, int]], split: ShardSplit, devices: Devices
) -> Iterator[list[Logits]]:
    """For each member the logits of a split and of its mirrored drawings, (N, K) float32."""
    for name, seed in members:
        run, network, variables = runs.load(name, seed)
        config = config_of(Setting(**run["setting"]), runs.split, seed)
        predictors = Predictors(network, [variables], devices)
        yield [predicted(predictors, split, config, mirrored=side)[0] for side in (False, True)]


def worth(logits: list[Logits], labels: NDArray[np.int32]) -> float:
    """The mean over classes of the top-1 of the mean probabilities."""
    right = mean_log_probabilities(logits).argmax(axis=1) == labels
    return float(right @ weights_by_class(labels))


def read_teacher(file: Path, split: ShardSplit) -> NDArray[np.float16]:
    """(N, K) float16, for each row of a training split what `main` wrote.

    Raises:
        SystemExit: the file is of other shards.
    """
    with np.load(file) as stored:
        if str(stored["shards"]) != split.manifest.checksum:
            raise SystemExit(f"{file}: made of other shards than {split.folder}")
        logits: NDArray[np.float16] = stored["logits"]
        return logits


if __name__ == "__main__":
    main()
