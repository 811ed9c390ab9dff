"""Draws two learning curves: accuracy against the number of training drawings, and against minutes.

    python benchmarks/curves.py QUICKDRAW WORK [--rows NAME ...] [--seeds N] [--out docs/learning-curves.png]
    python benchmarks/curves.py --redraw [--out docs/learning-curves.png]

WORK is the folder that `benchmarks/accuracy.py all345 QUICKDRAW --work WORK` filled. Runs in it are not trained again;
runs on a part of the drawings are added to it, so that an interrupted command can be repeated.

Drawings: test top-1 of the requested rows, each trained on 1/16, 1/8, 1/4 and all of the training split by its
recipe, which gives fewer drawings more epochs. Each part contains all smaller ones; validation and test never change.
Minutes: validation top-1 after each epoch of all runs of the benchmark in WORK, at the time that the run reports.

The measured points are stored beside the picture as JSON, from which --redraw draws it again.
"""

import argparse
import itertools
import json
import statistics
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from accuracy import ROWS, SETS, Row, build_shards, evaluate, keys, metrics, run_folder, sketchpipe, train
from machine import machine, say
from training import positive

from model.charts.style import COLOURS
from pipeline.shards.manifest import read_manifest
from pipeline.shards.read import open_split
from pipeline.shards.shuffle import SPLITS, split_of

SET = "all345"
PARTS = (16, 8, 4, 1)  # 1/16 to all of the training split
TRAIN = Fraction("0.8")  # the default share of the training split
DRAWINGS_ROWS = ("sketchnet", "quickdraw-classifier")
MARKERS = ("o", "s", "^", "D")  # so that a black-and-white print shows the rows
SOURCE = "Drawings: Quick, Draw! by Google, CC BY 4.0; 345 classes."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quickdraw", type=Path, nargs="?")
    parser.add_argument("work", type=Path, nargs="?")
    names = [row.name for row in ROWS]
    parser.add_argument("--rows", nargs="+", choices=names, default=DRAWINGS_ROWS, metavar="NAME", help="%(default)s")
    parser.add_argument("--seeds", type=positive, default=1, help="runs of each row on each part (%(default)s)")
    parser.add_argument("--epochs", type=positive, help="epochs of every run, for a trial; default: each recipe's own")
    parser.add_argument("--out", type=Path, default=Path("docs/learning-curves.png"))
    parser.add_argument("--redraw", action="store_true", help="draw the stored points again, without measuring")
    options = parser.parse_args()
    points_file = options.out.with_suffix(".json")
    if options.redraw and not points_file.exists():
        sys.exit(f"curves: {points_file}: not found, so there are no points to draw; measure them without --redraw")
    if not options.redraw:
        if options.quickdraw is None or options.work is None:
            parser.error("QUICKDRAW and WORK are missing")
        work = options.work.resolve() / SET
        build_shards(SETS[SET], options.quickdraw.resolve(), work)
        rows = [row for row in ROWS if row.name in options.rows]
        points = {
            "machine": machine(("sketchpipe", "jax", "flax", "numba")),
            "drawings": drawings_curve(work, rows, options.seeds, options.epochs),
            "minutes": minutes_curve(work),
        }
        points_file.write_text(as_json(points))
    draw(json.loads(points_file.read_text())).savefig(options.out, dpi=150, metadata={"Software": None})
    say(f"{options.out}, {points_file}")


def drawings_curve(work: Path, rows: list[Row], seeds: int, epochs: int | None) -> list[dict[str, Any]]:
    """A point for each part, seed and row: the number of training drawings and the test top-1."""
    points = []
    for part, seed, row in itertools.product(PARTS, range(seeds), rows):
        shards = part_shards(work, part)
        scores = evaluate(work, train(work, row, seed, epochs, shards))
        drawings = read_manifest(work / shards).rows("train")
        points.append({"row": row.name, "seed": seed, "drawings": drawings, "test_top1": scores["top1"]})
        say(f"{row.name}, seed {seed}, {drawings:,} drawings: {scores['top1']:.2%}")
    return points


def part_shards(work: Path, part: int) -> str:
    """Build shards in `work` with 1/part of the training split and the whole other splits; returns the folder's name.

    Raises:
        SystemExit: validation or test differ from those of `work`/shards.
    """
    if part == 1:
        return "shards"
    name = f"shards-1-{part}"
    if not (work / name / "manifest.json").exists():
        write_part(work / "shards", work / f"part-1-{part}.ndjson", part)
        sketchpipe(work, "shards", f"part-1-{part}.ndjson", "--to", name)
        (work / f"part-1-{part}.ndjson").unlink()
    if any(keys(work / name, split) != keys(work / "shards", split) for split in ("validation", "test")):
        raise SystemExit(f"{work / name}: its validation or test split differs from that of {work / 'shards'}")
    return name


def write_part(shards: Path, target: Path, part: int) -> None:
    """Write the drawings of shards as ndjson, of the training split only those in its first 1/part.

    A split is a range of a hash of key_id, the training split from 0 to 0.8, so a lower bound selects a part of it.
    With `sketchpipe shards --splits` the rest would go to validation.
    """
    with target.open("w") as file:
        for name in SPLITS:
            drawings = open_split(shards, name)[:]
            left_out = split_of(drawings.key_id, (TRAIN / part, TRAIN - TRAIN / part, 1 - TRAIN)) == 1
            for place in np.flatnonzero(~left_out) if name == "train" else range(len(drawings)):
                one = drawings[int(place)]
                line = {"word": one.word, "key_id": str(one.key_id), "drawing": one.strokes}
                file.write(json.dumps(line) + "\n")


def minutes_curve(work: Path) -> list[dict[str, Any]]:
    """A point for each epoch of each run on all drawings: the minutes at its end, and its validation top-1."""
    points = []
    for row in ROWS:
        for seed in itertools.count():
            run = run_folder(work, row, seed)
            if not (run / "metrics.jsonl").exists():
                break
            points += [
                {
                    "row": row.name,
                    "seed": seed,
                    "minutes": one["seconds"] / 60,
                    "validation_top1": one["validation_top1"],
                }
                for one in metrics(run)
            ]
    return points


def as_json(points: dict[str, Any]) -> str:
    """The points as JSON, one on each line."""
    lists = [
        f'"{name}": [\n' + ",\n".join(json.dumps(one) for one in points[name]) + "\n]"
        for name in ("drawings", "minutes")
    ]
    return "{\n" + ",\n".join([f'"machine": {json.dumps(points["machine"])}', *lists]) + "\n}\n"


def draw(points: dict[str, Any]) -> Figure:
    """Both curves side by side."""
    mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for k, row in enumerate(ROWS):
        style = {"color": COLOURS[k], "marker": MARKERS[k], "markersize": 4}
        draw_drawings(left, [one for one in points["drawings"] if one["row"] == row.name], style)
        draw_minutes(right, [one for one in points["minutes"] if one["row"] == row.name], style, row.name)
    finish(left, right, points)
    figure.legend(*right.get_legend_handles_labels(), loc="outside upper center", ncols=len(ROWS))
    figure.supxlabel(
        f"{SOURCE}\n{points['machine']}", x=0.01, ha="left", multialignment="left", fontsize=7, color="#555555"
    )
    return figure


def draw_drawings(axes: Axes, points: list[dict[str, Any]], style: dict[str, Any]) -> None:
    """Draw a row's line through the means over seeds, and a marker for each seed."""
    scores: dict[int, list[float]] = {}
    for one in points:
        scores.setdefault(one["drawings"], []).append(one["test_top1"])
    axes.plot(list(scores), [statistics.mean(several) for several in scores.values()], color=style["color"])
    axes.plot([one["drawings"] for one in points], [one["test_top1"] for one in points], **style, linestyle="none")


def draw_minutes(axes: Axes, points: list[dict[str, Any]], style: dict[str, Any], name: str) -> None:
    """Draw a row's line for each seed, with a marker at its end."""
    for seed in sorted({one["seed"] for one in points}):
        line = [one for one in points if one["seed"] == seed]
        minutes, scores = [one["minutes"] for one in line], [one["validation_top1"] for one in line]
        label = name if seed == 0 else None
        axes.plot(minutes, scores, **style, markevery=[-1], linewidth=1, label=label)


def finish(left: Axes, right: Axes, points: dict[str, Any]) -> None:
    """Set the axes' labels, titles and limits."""
    ticks = sorted({one["drawings"] for one in points["drawings"]})
    left.set_xscale("log", base=2)
    left.xaxis.set_major_locator(FixedLocator(ticks))
    left.xaxis.set_minor_locator(NullLocator())
    left.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    left.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    left.set(xlabel="training drawings of 345 classes", ylabel="top-1")
    right.set(xlabel="minutes of training", xlim=(0, None))
    left.set_title("Test, after training on a part of the drawings", loc="left")
    right.set_title("Validation, after each epoch on all drawings", loc="left")
    for axes in (left, right):
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)


if __name__ == "__main__":
    main()
