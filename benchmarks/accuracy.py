"""Measures the accuracy of sketchnet and of the two reimplemented networks on real drawings, on four data sets.

    python benchmarks/accuracy.py SET QUICKDRAW [--seeds N] [--rows NAME ...] [--work FOLDER]

QUICKDRAW holds excerpts of Google's data in the folders of `SETS`. nokey/ and more-nokey/ have no key_id, and neither
they nor parts/ (20 classes) have `recognized`. all345 has 353 drawings of each class or more, most of them recognized;
unequal345, a part of it, has 33 drawings of some classes and thousands of others.

All rows of a table use the same shards and are trained by `sketchpipe train`; the seed changes weights, order and
augmentation. The best checkpoint by validation top-1 is scored on the test split; "recognized" is its top-1 on those
test drawings that Google's own network recognized. The mean over classes is of those that have a test drawing. Minutes
are those that the run reports, including compiling (unless the cache on disk has it) and all validations but the last.
For other numbers of training drawings than 6,000 to 12,000 `default_epochs` scales the epochs of all networks, for few
`default_batch` halves the batches. A line is printed as soon as a run is scored, the table at the end. With --work
shards and runs are kept, and the same command resumes where it was interrupted and trains nothing twice.
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from children import ROOT, SKETCHPIPE
from machine import machine, say
from training import positive

from pipeline.shards.manifest import read_manifest

ANIMALS = "dog,cat,horse,bird,flamingo,duck,scorpion,swan,owl,butterfly,mosquito,ant"


@dataclass(frozen=True)
class DrawingSet:
    """The data set of a table.

    Attributes:
        folders: its folders in QUICKDRAW.
        classes: the classes to use; None uses all.
        seeds: the default number of runs for each row.
        recognized: whether its drawings have the field `recognized`.
    """

    folders: tuple[str, ...]
    classes: str | None = None
    seeds: int = 1
    recognized: bool = True


@dataclass(frozen=True)
class Row:
    """A row of the table: a network, and the network whose recipe and epochs it is trained with; None means its own."""

    name: str
    network: str
    recipe: str | None = None


@dataclass(frozen=True)
class Result:
    """The scores of one run; shares are from 0 to 1, `recognized` is None if the drawings do not have that field."""

    parameters: int
    epochs: int
    batch: int
    top1: float
    recognized: float | None
    top3: float
    map3: float
    balanced: float
    images_per_second: float
    minutes: float


SETS = {
    "animals": DrawingSet(("simplified",), ANIMALS, seeds=2),
    "parts20": DrawingSet(("parts",), recognized=False),
    "unequal345": DrawingSet(("simplified", "nokey")),
    "all345": DrawingSet(("simplified", "nokey", "raw", "recognized", "more", "more-nokey")),
}
OURS = "sketchnet"
ROWS = (
    Row(OURS, OURS),
    Row("sketch-classifier", "sketch-classifier"),
    Row("quickdraw-classifier", "quickdraw-classifier"),
    Row("quickdraw-classifier, our recipe", "quickdraw-classifier", recipe=OURS),
)
AS_AUTHORS = tuple(row.name for row in ROWS if row.recipe is None and row.network != OURS)
OUR_RECIPE = tuple(row.name for row in ROWS if row.recipe == OURS)
HEADINGS = (
    "network", "parameters", "epochs", "batch", "top-1", "recognized", "top-3", "MAP@3", "mean over classes",
    "error / better reimplemented", "images/s", "minutes",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("quickdraw", type=Path)
    parser.add_argument("--seeds", type=positive, help="runs of each row (2 of animals, 1 of the others)")
    parser.add_argument("--rows", nargs="+", choices=[row.name for row in ROWS], metavar="NAME", help="all")
    parser.add_argument("--epochs", type=positive, help="epochs of every row, for a trial; default: each recipe's own")
    parser.add_argument("--work", type=Path, help="folder in which shards and runs are kept")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # raises, so that the child ends and the folder is removed
    rows = [row for row in ROWS if options.rows is None or row.name in options.rows]
    seeds = options.seeds if options.seeds is not None else SETS[options.set].seeds
    results: dict[str, list[Result]] = {row.name: [] for row in rows}
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).resolve() / options.set
        build_shards(SETS[options.set], options.quickdraw.resolve(), work)
        for seed in range(seeds):  # outermost, so that an interrupted benchmark has all rows of the first seeds
            for row in rows:
                result = score(work, train(work, row, seed, options.epochs), row.network)
                results[row.name].append(result)
                say(f"seed {seed}, {row.name}: {describe(result)}")
        print(f"{machine(('sketchpipe', 'jax', 'flax', 'numba'))}\n{options.set}: {counts(work)}; seeds: {seeds}\n")
    print("\n".join(table(results)) + "\n")
    print("\n".join(ratios(results)))


def build_shards(drawings: DrawingSet, quickdraw: Path, work: Path) -> None:
    """Build the shards of a data set in `work`/shards, and in `work`/recognized those of its recognized drawings.

    Raises:
        SystemExit: a test drawing of the second is not a test drawing of the first.
    """
    work.mkdir(parents=True, exist_ok=True)
    classes = ["--classes", drawings.classes] if drawings.classes else []
    command = ["shards", *(str(quickdraw / name) for name in drawings.folders), *classes]
    sketchpipe(work, *command, "--to", "shards")
    if drawings.recognized:
        sketchpipe(work, *command, "--to", "recognized", "--recognized-only")
        if not keys(work / "recognized", "test") <= keys(work / "shards", "test"):
            raise SystemExit(f"{work}/recognized: has test drawings that are not in the test split of {work}/shards")


def keys(shards: Path, split: str) -> set[int]:
    """The key_ids of a split."""
    return set(pl.read_parquet(shards / f"{split}-*.parquet", columns=["key_id"])["key_id"])


def train(work: Path, row: Row, seed: int, epochs: int | None = None, shards: str = "shards") -> Path:
    """The folder of a row's run, trained to its last epoch unless it is already; `shards` is a folder in `work`."""
    run = run_folder(work, row, seed, shards)
    command = ["train", "--shards", shards, "--run", str(run), "--network", row.network, "--seed", str(seed)]
    recipe = ["--recipe", row.recipe] if row.recipe else []
    sketchpipe(work, *command, *recipe, *(["--epochs", str(epochs)] if epochs is not None else []))
    return run


def run_folder(work: Path, row: Row, seed: int, shards: str = "shards") -> Path:
    """The folder of a row's run on these shards."""
    return work / "runs" / shards / f"{re.sub(r'[^a-z]+', '-', row.name)}-{seed}"


def score(work: Path, run: Path, network: str) -> Result:
    """The scores of a run of a network."""
    scores = evaluate(work, run)
    recognized = evaluate(work, run, "--shards", "recognized")["top1"] if (work / "recognized").exists() else None
    config = json.loads((run / "config.json").read_text())
    epochs = metrics(run)
    listed = sketchpipe(work, "networks", "--classes", str(len(config["classes"])))
    parameters = re.search(rf"^{re.escape(network)}[ :(].*; ([\d,]+) parameters", listed, re.MULTILINE)
    assert parameters is not None
    return Result(
        parameters=int(parameters[1].replace(",", "")),
        epochs=config["epochs"],
        batch=config["batch"],
        top1=scores["top1"],
        recognized=recognized,
        top3=scores["top3"],
        map3=scores["map3"],
        balanced=scores["balanced_top1"],
        # The median: the first epoch compiles.
        images_per_second=statistics.median(one["images_per_second"] for one in epochs if "images_per_second" in one),
        minutes=epochs[-1]["seconds"] / 60,
    )


def evaluate(work: Path, run: Path, *args: str) -> dict[str, Any]:
    """A run's scores on the test split."""
    scores: dict[str, Any] = json.loads(sketchpipe(work, "evaluate", "--run", str(run), *args, "--json"))
    return scores


def metrics(run: Path) -> list[dict[str, Any]]:
    """The metrics of each epoch of a run."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def describe(result: Result) -> str:
    """The scores of a run in one line."""
    recognized = "" if result.recognized is None else f", {result.recognized:.2%} of those recognized"
    return (
        f"top-1 {result.top1:.2%}{recognized}, top-3 {result.top3:.2%}, MAP@3 {result.map3:.4f}, mean over classes "
        f"{result.balanced:.2%}; {result.epochs} epochs in {result.minutes:.1f} minutes"
    )


def counts(work: Path) -> str:
    """How many drawings the splits hold, and the standard error of a score on the test split."""
    manifest = read_manifest(work / "shards")
    splits = ", ".join(f"{manifest.rows(split):,} {split}" for split in ("train", "validation", "test"))
    if (work / "recognized").exists():
        splits += f" ({read_manifest(work / 'recognized').rows('test'):,} recognized)"
    without = manifest.counts["test"].count(0)
    error = 50 / manifest.rows("test") ** 0.5  # of a share of one half, points
    return (
        f"{len(manifest.classes)} classes, {without} of them without a test drawing; {splits}; "
        f"a standard error of a top-1 is at most {error:.1f} points"
    )


def table(results: dict[str, list[Result]]) -> list[str]:
    """The lines of a markdown table: means over seeds, for top-1 also the lowest and the highest."""
    best = least_error(results, AS_AUTHORS, lambda one: one.top1)
    lines = [f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
    for name, runs in results.items():
        top1 = [one.top1 for one in runs]
        recognized = [one.recognized for one in runs if one.recognized is not None]
        cells = (
            name,
            f"{runs[0].parameters:,}",
            f"{runs[0].epochs}",
            f"{runs[0].batch:,}",
            spread(top1),
            spread(recognized) if recognized else "-",
            f"{statistics.mean(one.top3 for one in runs):.1%}",
            f"{statistics.mean(one.map3 for one in runs):.3f}",
            f"{statistics.mean(one.balanced for one in runs):.1%}",
            f"{(1 - statistics.mean(top1)) / best:.2f}" if best else "-",
            f"{statistics.mean(one.images_per_second for one in runs):,.0f}",
            f"{statistics.mean(one.minutes for one in runs):.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def spread(shares: Sequence[float]) -> str:
    """The mean in percent and, for several values, the lowest and the highest."""
    mean = f"{statistics.mean(shares):.1%}"
    return mean if len(shares) == 1 else f"{mean} ({min(shares):.1%}..{max(shares):.1%})"


def ratios(results: dict[str, list[Result]]) -> list[str]:
    """The ratios of sketchnet's error to the better reimplemented network's, with its author's recipe and with ours."""
    lines = []
    columns: dict[str, Callable[[Result], float | None]] = {
        "all drawings": lambda one: one.top1,
        "recognized only": lambda one: one.recognized,
    }
    for drawings, top1 in columns.items():
        ours = least_error(results, (OURS,), top1)
        for whose, names in (
            ("the better reimplemented network's as its author trained it", AS_AUTHORS),
            ("quickdraw-classifier's by our recipe", OUR_RECIPE),
        ):
            theirs = least_error(results, names, top1)
            if ours is not None and theirs:
                lines.append(f"{OURS}'s error / {whose}, {drawings}: {ours:.2%} / {theirs:.2%} = {ours / theirs:.2f}")
    return lines


def least_error(
    results: dict[str, list[Result]], names: Sequence[str], top1: Callable[[Result], float | None]
) -> float | None:
    """The smallest mean error of these rows; None if none of them has that score."""
    shares = [[share for one in results.get(name, ()) if (share := top1(one)) is not None] for name in names]
    return min((1 - statistics.mean(found) for found in shares if found), default=None)


def sketchpipe(folder: str | Path, *args: str) -> str:
    """Run a sketchpipe command of this source tree in `folder`; returns its stdout, and passes its stderr on.

    Raises:
        SystemExit: the command failed; its message is on stderr.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [*SKETCHPIPE, *args]
    ran = subprocess.run(command, cwd=folder, env=environment, check=False, stdout=subprocess.PIPE, text=True)
    if ran.returncode:
        raise SystemExit(f"{Path(sys.argv[0]).stem}: {args[0]} ended with exit code {ran.returncode}")
    return ran.stdout


if __name__ == "__main__":
    main()
