"""Compares settings of sketchnet and of its training pairwise by validation top-1 on real drawings.

    python benchmarks/settings.py QUICKDRAW [--only NAME ...] [--seeds N] [--results FILE]

QUICKDRAW holds Google's simplified ndjson in simplified/. Each setting of `settings_table.py` changes one thing of
another setting. All are trained on the same twelve animals, split 60 : 30 : 10, so that 4,379 validation drawings
compare two settings and the test split, the same tenth as everywhere, is never used. Figures are of the last epoch. A
difference is taken to the other setting's run of the same seed. Its standard error counts the drawings that only one of
the two runs classifies correctly; the variation between seeds is not included.

A finished run is a line of FILE, written and printed when it ends. The same command resumes where it was interrupted;
it trains again those runs that FILE has with another setting of that name, other epochs or other drawings.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from model.compute.heap import keep_heap

keep_heap("auto")  # as `sketchpipe train` does, before the imports below start threads

import jax
import numpy as np
import recipes_training
from accuracy import ANIMALS, sketchpipe
from machine import machine, say
from recipes_scores import Predictors, as_hex, labels_of, predicted
from settings_table import SETTINGS, Setting

from model.compute.devices import choose_devices
from pipeline.shards.read import open_split

SPLITS = "0.6,0.3,0.1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quickdraw", type=Path)
    parser.add_argument("--only", nargs="+", choices=SETTINGS, metavar="NAME", default=list(SETTINGS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, help="epochs of every setting, for a trial")
    parser.add_argument("--results", type=Path, help="file of finished runs, a JSON object on each line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        results = options.results or Path(work) / "results.jsonl"
        source = str(options.quickdraw.resolve() / "simplified")
        sketchpipe(work, "shards", source, "--to", "shards", "--classes", ANIMALS, "--splits", SPLITS)
        checksum = open_split(Path(work) / "shards", "train").manifest.checksum
        devices = tuple(choose_devices("auto", divided=True))
        for seed in range(options.seeds):
            for name in options.only:
                setting = replace(SETTINGS[name], epochs=options.epochs or SETTINGS[name].epochs)
                run = {"name": name, "seed": seed, "setting": asdict(setting), "shards": checksum}
                if any(run.items() <= one.items() for one in read(results)):
                    continue
                found = train(setting, Path(work) / "shards", seed, devices)
                with results.open("a") as file:
                    file.write(json.dumps({**run, **found}) + "\n")
                say(f"{name}, seed {seed}: {found['top1']:.2%} ({found['images_per_second']:,.0f} images/s)")
        print(f"{machine(('jax', 'flax', 'numba'))}\n" + "\n".join(table(read(results))))


def read(results: Path) -> list[dict[str, Any]]:
    """The finished runs in a file of results."""
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


def train(setting: Setting, shards: Path, seed: int, devices: tuple[jax.Device, ...]) -> dict[str, Any]:
    """Train a setting and score it on the validation split."""
    trained = recipes_training.train(setting, shards, seed, devices)
    validation = open_split(shards, "validation")
    config = recipes_training.config_of(setting, open_split(shards, "train"), seed)
    scored = trained.average if setting.average else trained.variables
    logits = predicted(Predictors(trained.network, [scored], devices), validation, config)[0]
    right = logits.argmax(axis=1) == labels_of(validation)
    return {
        "top1": float(right.mean()),
        "right": as_hex(right),
        "drawings": len(right),
        "train_accuracy": trained.train_accuracy,
        "images_per_second": trained.images_per_second,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(scored["params"])),
        "when": time.strftime("%Y-%m-%d %H:%M"),
    }


def table(results: list[dict[str, Any]]) -> list[str]:
    """The lines of a markdown table, in the order of `SETTINGS`."""
    by_name: dict[str, dict[int, dict[str, Any]]] = {}
    for one in results:  # of two results for one run the later counts
        by_name.setdefault(one["name"], {})[one["seed"]] = one
    lines = ["| setting | epochs | validation top-1 | against | worth, points | parameters |"]
    lines.append("|---|---|---|---|---|---|")
    for name in (name for name in SETTINGS if name in by_name):
        runs, against = by_name[name], SETTINGS[name].against
        base = by_name.get(against or "", {})
        worth = ", ".join(compared(runs[seed], base[seed]) for seed in runs if seed in base) or "-"
        top1 = ", ".join(f"{one['top1']:.1%}" for one in runs.values())
        any_run = next(iter(runs.values()))
        lines.append(
            f"| {name} | {any_run['setting']['epochs']} | {top1} | {against or '-'} | {worth} "
            f"| {any_run['parameters']:,} |"
        )
    return lines


def compared(one: dict[str, Any], base: dict[str, Any]) -> str:
    """The difference in points of two runs scored on the same drawings, and its standard error (McNemar's)."""
    right, was = (np.unpackbits(np.frombuffer(bytes.fromhex(run["right"]), np.uint8)) for run in (one, base))
    gained, lost = int((right > was).sum()), int((right < was).sum())
    drawings = one["drawings"]
    error = (gained + lost - (gained - lost) ** 2 / drawings) ** 0.5 / drawings
    return f"{100 * (gained - lost) / drawings:+.1f} ± {100 * error:.1f}"


if __name__ == "__main__":
    main()
