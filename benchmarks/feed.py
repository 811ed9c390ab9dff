"""Measures loading batches of images against PyTorch, Grain and tf.data, which render with OpenCV.

    python benchmarks/feed.py SKETCHES [--rounds 3] [--seconds 2] [--work DIR]

SKETCHES holds ndjson drawings. All loaders read the training split of the shards built from them, as batches of 256
images of 64 x 64 x 3 bytes with labels. For sketchpipe the time includes reading, checking and decoding the shards. The
peers have an easier task: their points are converted to OpenCV's fixed point before the clock starts, in memory or in
Parquet (benchmarks/feed_store.py), and they draw antialiased directly at 64 pixels or, as is usual, at 256 pixels
followed by an area resize. Every loader is a process of its own and is checked first (benchmarks/feed_peers.py). Rounds
alternate, and the table has the best of them. The figure to compare is images per second of CPU time of the whole
process tree, which is nearly the same on idle and on busy cores; starting and compiling are not counted.

Libraries that are not installed are left out; `pip install -e ".[dev,bench]"` installs all of them, and psutil, which
counts CPU time.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from children import SKETCHPIPE, run_child
from feed_store import RECIPES, write_store
from machine import machine, say

PROGRAM = (sys.executable, str(Path(__file__).parent / "feed_peers.py"))
PACKAGES = (
    "sketchpipe", "numba", "numpy", "pyarrow", "opencv-python-headless", "torch", "grain", "tensorflow-cpu",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        title: its name in the table.
        loader: the loader's name in benchmarks/feed_peers.py.
        drawings: the folder that the loader reads: shards, or the store of a recipe.
        workers: the number of processes or threads; 0 means the caller's own thread.
    """

    title: str
    loader: str
    drawings: str
    workers: int


ROWS = (
    Row("sketchpipe, 1 thread", "sketchpipe", "shards", 1),
    Row("sketchpipe, 2 threads", "sketchpipe", "shards", 2),
    Row("sketchpipe, 2 threads, augmented", "sketchpipe-augmented", "shards", 2),
    *(Row(f"PyTorch, memory, num_workers={n}", "torch-batches", "straight", n) for n in (0, 1, 2)),
    *(Row(f"PyTorch, memory, one by one, num_workers={n}", "torch-drawings", "straight", n) for n in (0, 1, 2)),
    *(Row(f"PyTorch, Parquet, num_workers={n}", "torch-parquet", "straight", n) for n in (0, 1, 2)),
    *(Row(f"Grain, memory, num_threads={n}", "grain-memory", "straight", n) for n in (0, 1, 2)),
    *(Row(f"Grain, Parquet, num_workers={n}", "grain-parquet", "straight", n) for n in (0, 1, 2)),
    *(Row(f"tf.data, memory, num_parallel_calls={n}", "tensorflow", "straight", n) for n in (1, 2)),
    *(Row(f"PyTorch, memory, num_workers={n}", "torch-batches", "reduced", n) for n in (0, 1, 2)),
    Row("Grain, memory, num_threads=0", "grain-memory", "reduced", 0),
    Row("tf.data, memory, num_parallel_calls=2", "tensorflow", "reduced", 2),
)
DRAWN = {"shards": "by sketchpipe", "straight": "at 64 px", "reduced": "at 256 px, reduced"}


@dataclass(frozen=True)
class Rate:
    """A loader's rates in its best rounds.

    Attributes:
        per_second: images per second.
        per_cpu_second: images per second of CPU time.
    """

    per_second: float
    per_cpu_second: float


def main() -> None:
    parser = argparse.ArgumentParser(description="Load batches of images with sketchpipe, PyTorch, Grain and tf.data.")
    parser.add_argument("sketches", type=Path, help="folder of ndjson drawings")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the best counts (%(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="least seconds of each measurement (%(default)s)")
    parser.add_argument("--work", type=Path, help="new folder for shards and stores; a temporary one by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary) / "feed"
        work.mkdir(parents=True)
        count = prepare(arguments.sketches, work)
        rates: dict[Row, Rate] = {}
        for number in range(arguments.rounds):
            for row in ROWS:
                if number == 0 or row in rates:
                    run(row, work, arguments.seconds, rates)
            say(f"round {number + 1} of {arguments.rounds}")
    print(f"{machine(PACKAGES)}. {count:,} drawings of {arguments.sketches.name}/, batches of 256.\n")
    print(table(rates))


def prepare(sketches: Path, work: Path) -> int:
    """Build the shards and the peers' stores; returns how many drawings are in each."""
    built = run_child([*SKETCHPIPE, "shards", str(sketches.resolve()), "--to", str(work / "shards")])
    if built.code:
        sys.exit(f"feed: {built.complaint}")
    return {write_store(work / "shards", work / recipe, recipe) for recipe in RECIPES}.pop()


def run(row: Row, work: Path, seconds: float, rates: dict[Row, Rate]) -> None:
    """Run a loader once, and keep the better of its rates and those of its earlier rounds."""
    ran = run_child([*PROGRAM, row.loader, str(row.workers), str(work / row.drawings), str(seconds)])
    if ran.code:
        sys.exit(f"feed: {row.title}: {ran.complaint}")
    found = next(json.loads(line) for line in ran.said.splitlines() if line.startswith("{"))
    if "missing" in found:
        say(f"left out: {row.title} ({found['missing']})")
        return
    before = rates.get(row, Rate(0, 0))
    per_second, per_cpu = found["images"] / found["seconds"], found["images"] / found["cpu_seconds"]
    rates[row] = Rate(max(per_second, before.per_second), max(per_cpu, before.per_cpu_second))


def table(rates: dict[Row, Rate]) -> str:
    """The table, with the ratio of sketchpipe's images per CPU second to each loader's, and each recipe's best peer."""
    ours = max(rate.per_cpu_second for row, rate in rates.items() if row.loader == "sketchpipe")
    lines = ["| loader | drawn | images/s | images per CPU second | sketchpipe against it |", "|---|---|---|---|---|"]
    best: dict[str, Row] = {}
    for row, rate in rates.items():
        times = f"{ours / rate.per_cpu_second:.2f}"
        drawn = DRAWN[row.drawings]
        lines.append(f"| {row.title} | {drawn} | {rate.per_second:,.0f} | {rate.per_cpu_second:,.0f} | {times} |")
        if rate.per_cpu_second > (rates[best[drawn]].per_cpu_second if drawn in best else 0):
            best[drawn] = row
    lines.append("")
    for drawn, row in best.items():
        if row.drawings != "shards":
            times = f"{ours / rates[row].per_cpu_second:.1f}"
            lines.append(f"Best peer {drawn}: {row.title}; sketchpipe makes {times} times its images per CPU second.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
