"""Makes the network that comes with sketchpipe, sketchnet-345, from the drawings of all folders of all345.

    python benchmarks/pretrained.py QUICKDRAW WORK [--to FOLDER] [--epochs N]

Builds the shards of `accuracy.py all345` in WORK/all345, trains sketchnet on them with `RECIPE` and then, with drawings
that are varied less, with `LAST_RECIPE`, evens its classes, rounds its weights to half precision, fits the temperature
of these on the validation split, scores them on the test split, and writes weights, configuration and card to FOLDER,
which must not exist. The same command resumes a training that was interrupted.
"""

import argparse
import dataclasses
import datetime
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from accuracy import OURS, SETS, build_shards, sketchpipe
from early import SHARES, early_accuracy
from machine import machine, say
from training import positive

from model.compute.devices import choose_devices
from model.runs.folder import Run
from model.runs.opening import open_run
from model.runs.weights import halved, write_weights
from model.scoring.calibrate import fit_calibration
from model.scoring.evaluate import evaluate_run
from model.scoring.loaded import LoadedRun, load_best
from model.scoring.predict import Predictor
from pipeline.shards.manifest import ATTRIBUTION, read_manifest
from pipeline.shards.read import open_split

SET, NAME = "all345", "sketchnet-345"
EPOCHS, LAST_EPOCHS = 64, 8
EVENED = 0.5  # of the logarithm of a class's share of the training drawings, which is subtracted from its logit
PREFIX = "prefix=0.1,shortest=0.2"
RECIPE = ("--augment", PREFIX)
LAST_RECIPE = ("--lr", "0.002", "--augment", f"{PREFIX},rotation=5,shear=0.05,scale=0.9..1.05,stretch=0.05,shift=6")
PRETRAINED = Path(__file__).parents[1] / "model" / "pretrained" / NAME


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quickdraw", type=Path, help="the folder that has those of all345")
    parser.add_argument("work", type=Path, help="folder in which shards and run are kept")
    parser.add_argument("--to", type=Path, default=PRETRAINED, help="%(default)s")
    parser.add_argument("--epochs", type=positive, default=EPOCHS, help="%(default)s; for a trial also those after")
    options = parser.parse_args()
    if options.to.exists():
        parser.error(f"--to {options.to}: exists; name a folder that does not")
    work = options.work.resolve() / SET
    build_shards(SETS[SET], options.quickdraw.resolve(), work)
    first, last = f"runs/{NAME}-first", f"runs/{NAME}"
    last_epochs = LAST_EPOCHS if options.epochs == EPOCHS else options.epochs
    train(work, first, options.epochs, *RECIPE)
    train(work, last, last_epochs, "--start", first, *LAST_RECIPE)
    choose_devices("auto")
    loaded = load_best(open_run(work / last), calibrated=False)
    variables = evened(loaded.variables, read_manifest(work / "shards").counts["train"])
    rounded = jax.tree.map(lambda one: one.astype(np.float32), halved(variables))
    card = card_of(dataclasses.replace(loaded, variables=rounded), open_run(work / first), work)
    write_weights(options.to, loaded.run.config, card, rounded)
    say(f"written: {options.to}")
    print(json.dumps({name: card[name] for name in ("test", "test_early", "calibration")}, indent=1))


def train(work: Path, run: str, epochs: int, *options: str) -> None:
    """Train a run in `work`, or resume it."""
    sketchpipe(work, "train", "--shards", "shards", "--run", run, "--network", OURS, "--epochs", str(epochs), *options)


def evened(variables: Any, counts: Sequence[int]) -> Any:
    """Variables whose last layer favours frequent classes less, for drawings of which any class is equally likely.

    Source: Menon et al., arXiv:2007.07314, whose logit adjustment subtracts the whole logarithm. Half of it gains most
    of the mean over classes, and loses little of top-1.
    """
    shares = np.maximum(np.array(counts, np.float64), 1) / sum(counts)
    last = variables["params"]["dense"]
    bias = (last["bias"] - EVENED * np.log(shares)).astype(np.float32)
    return {**variables, "params": {**variables["params"], "dense": {**last, "bias": bias}}}


def card_of(loaded: LoadedRun, first: Run, work: Path) -> dict[str, Any]:
    """What the weights were trained on, how, and how they score on the test split; `first` is the run before."""
    shards = work / "shards"
    scores = evaluate_run(loaded, shards, "test").as_dict()
    validation_top1 = evaluate_run(loaded, shards, "validation").as_dict()["top1"]
    recognized = evaluate_run(loaded, work / "recognized", "test").as_dict()
    early = early_accuracy(Predictor(loaded), open_split(shards, "test"))
    calibration = dataclasses.asdict(fit_calibration(loaded, shards))
    for name in ("checkpoint", "arrays_sha256"):  # of the run, whose weights are not rounded
        del calibration[name]
    by_class = {word: one["top1"] for word, one in scores["classes"].items() if one["drawings"]}
    return {
        "name": NAME,
        "made": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "training": {**trained(loaded, shards), "validation_top1": round(validation_top1, 4)},
        "started_from": {
            "epochs": first.epochs,
            "minutes": round(first.metrics()[-1]["seconds"] / 60, 1),
            "lr": first.config.lr,
            "augment": first.config.augment,
        },
        "attribution": ATTRIBUTION,
        "precision": "float16",
        "evened": EVENED,
        "calibration": calibration,
        "test": {
            "drawings": scores["drawings"],
            "recognized_drawings": recognized["drawings"],
            **{name: round(scores[name], 4) for name in ("top1", "top3", "map3", "balanced_top1")},
            "recognized_top1": round(recognized["top1"], 4),
        },
        "test_early": {f"{share:.2f}": round(top1, 4) for share, (top1, _) in zip(SHARES, early, strict=True)},
        "test_by_class": {word: round(by_class[word], 3) for word in sorted(by_class, key=by_class.__getitem__)},
        "not_for": "Drawings of other things than these classes: it names one of them all the same. Photographs, "
        "writing, and any judgement about the person who draws.",
    }


def trained(loaded: LoadedRun, shards: Path) -> dict[str, Any]:
    """How the run was trained, and on what."""
    manifest, run = read_manifest(shards), loaded.run
    return {
        "drawings": manifest.rows("train"),
        "validation_drawings": manifest.rows("validation"),
        "splits": manifest.options["splits"],
        "shards_checksum": manifest.checksum,
        "synthetic": manifest.synthetic,
        "epochs": loaded.position.epoch,
        "minutes": round(loaded.position.seconds / 60, 1),
        "machine": machine(()),
        "versions": run.card.versions,
    }


if __name__ == "__main__":
    main()
