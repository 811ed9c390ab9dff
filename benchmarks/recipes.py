"""Trains variants of sketchnet on shards under equal conditions, and compares them on the validation split.

    python benchmarks/recipes.py SHARDS WORK --variants base silu lr8+silu epochs=9 [--epochs 6] [--seeds 0 1]
        [--teacher FILE | --live NAME:SEED ...] [--against base] [--score last] [--table]

A variant joins names of `recipes_table.CHANGES` and assignments such as lr=0.012 by "+". Variants are trained one after
another, each with every seed, all cores in each. A finished run is a line of WORK/results.jsonl and a file of weights;
the same command goes on where it was stopped, and trains an unfinished run from its beginning.

Each run is scored five times on all validation drawings: its last weights; the running average of weights and batch
statistics; each of them with the mirrored strokes (the mean of the probabilities); and the last weights as if all
classes were equally frequent: logits minus the logarithm of a class's share of the training drawings, which means
nothing for variants that weight classes in training. The columns 25 % to 75 % are the top-1 of the average after such a
share of each drawing's points, "train" the accuracy of the last 200 steps on augmented drawings. Standard errors count
drawings and seeds (`recipes_scores.Compared`): without a variant with several seeds they count drawings only. CPU
seconds are of training without compiling and scoring. The test split is not read.

--teacher is a file of `recipes_teacher.py`, for variants that are "taught"; --live names finished runs, whose mean is
the teacher of "live" variants in each step.
"""

import argparse
import hashlib
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from model.compute.heap import keep_heap

keep_heap("auto")  # as `sketchpipe train` does, before the imports below start threads

import jax
from machine import machine, say
from recipes_runs import Runs, member_of
from recipes_scores import SCORES, Compared, labels_of, percent, scores_of, table
from recipes_table import setting_of
from recipes_teacher import read_teacher
from recipes_training import Teacher, config_of, train
from settings_table import Setting

from model.compute.devices import choose_devices
from pipeline.shards.read import open_split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--variants", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--epochs", type=int, default=6, help="of variants that do not set them (%(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="SEED")
    teachers = parser.add_mutually_exclusive_group()
    teachers.add_argument("--teacher", type=Path, metavar="FILE")
    teachers.add_argument("--live", nargs="+", default=[], metavar="NAME:SEED")
    parser.add_argument("--against", default="base", metavar="NAME")
    parser.add_argument("--score", choices=SCORES, default=SCORES[0])
    parser.add_argument("--table", action="store_true", help="train nothing; without --variants show all in WORK")
    options = parser.parse_args()
    try:
        settings = {name: setting_of(name, options.epochs) for name in options.variants}
    except ValueError as error:
        parser.error(str(error))
    options.work.mkdir(parents=True, exist_ok=True)
    runs = Runs(options.work, open_split(options.shards, "train"))
    devices = tuple(choose_devices("auto", divided=True))
    teacher, named = teacher_of(runs, options.teacher, options.live)
    labels = labels_of(open_split(options.shards, "validation"))
    found: dict[str, list[dict[str, Any]]] = {}
    for name, setting in settings.items():
        for seed in options.seeds:
            key = runs.key(name, setting, seed, named if setting.teaching else "")
            run = runs.find(key)
            if run is None and not options.table:
                check_teacher(parser, name, setting, teacher)
                run = trained(runs, key, setting, seed, devices, teacher)
                say(told(run, Compared({name: [run]}, labels)))
            found.setdefault(name, []).extend([] if run is None else [run])
    if options.table and not settings:
        found = every_run(runs, options.epochs)
    compared = Compared({name: several for name, several in found.items() if several}, labels)
    print(f"{machine(('jax', 'flax', 'numba'))}\n{options.shards}: {len(runs.split):,} drawings to train on, "
          f"{len(labels):,} to validate\n")  # fmt: skip
    print("\n".join(table(compared, options.against, options.score)))


def every_run(runs: Runs, epochs: int) -> dict[str, list[dict[str, Any]]]:
    """All finished runs by variant; a name tells the epochs if they are others than `epochs`, and the teacher."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in runs.read():
        trained_for = run["setting"]["epochs"]
        name = run["name"] if trained_for == epochs else f"{run['name']}, {trained_for} epochs"
        found.setdefault(f"{name}, teacher {run['teacher'][:6]}" if run["teacher"] else name, []).append(run)
    return found


def trained(
    runs: Runs, key: dict[str, Any], setting: Setting, seed: int, devices: tuple[jax.Device, ...], teacher: Teacher
) -> dict[str, Any]:
    """Train and score a run, and keep it."""
    result = train(setting, runs.split.folder, seed, devices, teacher)
    validation = open_split(runs.split.folder, "validation")
    found = {
        **scores_of(result, validation, config_of(setting, runs.split, seed), devices),
        "train": result.train_accuracy,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(result.variables["params"])),
        "cpu_seconds": result.cpu_seconds,
        "seconds": result.seconds,
        "images_per_second": result.images_per_second,
        "when": time.strftime("%Y-%m-%d %H:%M"),
    }
    return runs.add(key, found, result)


def told(run: dict[str, Any], compared: Compared) -> str:
    """A finished run in one line."""
    scores = ", ".join(f"{score} {compared.top1(run['name'], score, balanced=True)[0]:.2%}" for score in SCORES)
    return (
        f"{run['name']}, seed {run['seed']}, {run['setting']['epochs']} epochs: top-1 "
        f"{percent(*compared.top1(run['name'], SCORES[0], balanced=False))}; mean over classes: {scores}; "
        f"{run['cpu_seconds']:,.0f} CPU seconds, {run['images_per_second']:,.0f} images/s"
    )


def teacher_of(runs: Runs, file: Path | None, live: list[str]) -> tuple[Teacher, str]:
    """The teacher of the command line, and a text that tells it from others; an empty one if none is named."""
    if file is not None:
        return Teacher(logits=read_teacher(file, runs.split)), hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    members = [runs.load(*member_of(text)) for text in live]
    networks, variables = tuple(one[1] for one in members), tuple(one[2] for one in members)
    return Teacher(networks=networks, variables=variables), " ".join(one[0]["weights"] for one in members)


def check_teacher(parser: argparse.ArgumentParser, name: str, setting: Setting, teacher: Teacher) -> None:
    """End the command if a variant needs another teacher than was named."""
    if setting.teaching and setting.live and not teacher.networks:
        parser.error(f"{name}: needs --live NAME:SEED")
    if setting.teaching and not setting.live and teacher.logits is None:
        parser.error(f"{name}: needs --teacher FILE")


if __name__ == "__main__":
    main()
