"""Measures the loader against its own renderer: drawings per CPU second, bytes read, and memory.

    python benchmarks/loader.py SOURCE WORK [--gigabytes 2.85] [--rounds 5] [--only reading|bytes|memory|ratios]

SOURCE holds Google's simplified ndjson. WORK keeps shards of its lines, replicated as `pipeline.bench.replicas` does,
which are built once and have so many drawings that they are streamed. All rates are per second of CPU time of all
threads, so that other processes on the machine matter less; their use of memory bandwidth still matters.

Reading: whole epochs as drawings in the order of training, on one thread, nothing rendered. Ratios: the images of a
whole epoch of `Loader.epoch`, and those of the renderer alone, which renders some of the same drawings in the same
batches at intervals during that epoch. Bytes: what Linux reports as read. Memory: the peak of a process that streams an
epoch.
"""

import argparse
import contextlib
import itertools
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from children import run_child
from machine import machine, say

from pipeline.bench.replicas import GIGABYTE, replicate
from pipeline.loading import loader as loader_module
from pipeline.loading.blocks import Block, Blocks
from pipeline.loading.loader import Loader, LoaderConfig
from pipeline.loading.order import LANES, EpochOrder
from pipeline.rendering.augment import Augmentation
from pipeline.rendering.render import render, render_augmented
from pipeline.shards.folder import build_folder
from pipeline.shards.footers import open_shard
from pipeline.shards.options import BuildOptions
from pipeline.shards.read import STROKE_COLUMNS, ShardSplit, open_split

BATCHES = (256, 1024)
SAMPLE = 32 * 1024  # drawings that the renderer alone draws each time
SEGMENTS = 16  # parts of an epoch, after each of which the renderer alone is timed


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what the loader costs besides rendering.")
    parser.add_argument("source", type=Path, nargs="?", help="folder of simplified ndjson")
    parser.add_argument("work", type=Path, nargs="?", help="folder for shards")
    parser.add_argument("--gigabytes", type=float, default=2.85, help="size of the lines, 10^9 bytes (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of reading (%(default)s)")
    parser.add_argument("--only", choices=("reading", "bytes", "memory", "ratios"))
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        stream_epoch(arguments.peak)
        return
    if arguments.work is None:
        parser.error("expected SOURCE and WORK")
    print(machine(["numpy", "numba", "pyarrow"]))
    split = open_split(build_shards(arguments.source, arguments.work / "shards", arguments.gigabytes, None), "train")
    print(f"{len(split):,} drawings, {len(split.files)} shards, {len(split.row_groups)} row groups\n", flush=True)
    parts = {
        "memory": lambda: print_memory(
            arguments
        ),  # first, because a child's peak includes its parent's memory at start
        "reading": lambda: print_reading(split, arguments.rounds),
        "bytes": lambda: print_bytes(split),
        "ratios": lambda: print_ratios(split),
    }
    for name, part in parts.items():
        if arguments.only in (None, name):
            part()


def build_shards(source: Path, to: Path, gigabytes: float, num_shards: int | None) -> Path:
    """Build a folder of shards with a training split only, unless it exists."""
    if not to.exists():
        lines = to.with_name("lines")
        say(f"building {to}")
        replicate(source, lines, round(gigabytes * GIGABYTE))
        build_folder([str(lines)], to, BuildOptions(splits="1,0,0", num_shards=num_shards), workers=2)
        shutil.rmtree(lines)
    return to


def shares(loader: Loader, epoch: int, *, kept: bool = False) -> Iterator[Block]:
    """A process's drawings and rows of each step of an epoch, nothing rendered, read on one thread."""
    config, order = loader.config, EpochOrder(loader.split.row_starts, loader.config.seed, epoch)
    process = config.process_index, config.process_count
    blocks = Blocks(loader._pools, order, range(len(loader)), config.batch, *process, 1, kept)
    try:
        for share in blocks.shares():
            yield share.drawings()
    finally:
        blocks.close()


def print_reading(split: ShardSplit, rounds: int) -> None:
    print(f"{'drawings a second of one core':44}")
    for kept in (False, True):
        name = "kept" if kept else "streamed"
        loader = Loader(split, LoaderConfig(1024, threads=1))
        for epoch in range(rounds):
            start, count = time.process_time(), 0
            for packed, _ in shares(loader, epoch, kept=kept):
                count += len(packed.unpack(split.manifest.classes))
            print(f"{name + f', epoch {epoch}':44}{count / (time.process_time() - start):14,.0f}", flush=True)


def print_bytes(split: ShardSplit) -> None:
    """Print the bytes that Linux reports as read in an epoch, over those of the rows of one process's lanes."""
    counted = Path("/proc/self/io")
    if not counted.exists():
        return
    total = 0
    for file in split.files:
        metadata = open_shard(split.folder / file.name, file).metadata
        for number in range(metadata.num_row_groups):
            columns = [metadata.row_group(number).column(k) for k in range(metadata.num_columns)]
            read = [one for one in columns if one.path_in_schema.partition(".")[0] in STROKE_COLUMNS]
            total += sum(one.total_compressed_size for one in read)
    print(f"row groups a lane {len(split.row_groups) / LANES:.2f}; bytes read over a process's share, first epoch:")
    next(shares(Loader(split, LoaderConfig(1024)), 1))  # so that reading cached kernels is not counted
    for world in (1, 2, 4, 8):
        loader = Loader(split, LoaderConfig(1024, process_index=world - 1, process_count=world))
        before = int(counted.read_text().split()[1])
        for _ in shares(loader, 0):
            pass
        read_bytes = int(counted.read_text().split()[1]) - before
        print(f"  {world} processes: {read_bytes / (total / world):.3f}", flush=True)


def print_ratios(split: ShardSplit) -> None:
    """Print images per CPU second of the loader over a whole epoch and of the renderer alone, and their ratio."""
    print(f"{'images a second of one core':44}{'loader':>10}{'renderer':>10}{'ratio':>8}")
    for threads, kept, augmented, batch in itertools.product((1, 2), (False, True), (False, True), BATCHES):
        augmentation = Augmentation() if augmented else None
        loader = Loader(split, LoaderConfig(batch, augmentation=augmentation, threads=threads))
        loader_module.KEPT_ROW_GROUPS = len(split.row_groups) + 1 if kept else 0
        loader_rate, renderer_rate = compare(loader)
        how = "kept" if kept else "streamed"
        name = f"{how}{', augmented' if augmented else ''}, {threads} thread{'s'[: threads - 1]}, batch {batch}"
        print(f"{name:44}{loader_rate:10,.0f}{renderer_rate:10,.0f}{loader_rate / renderer_rate:8.3f}", flush=True)


def compare(loader: Loader) -> tuple[float, float]:
    """Images per CPU second of the loader over an epoch, and of the renderer, which draws some of them in between.

    The renderer's threads are timed separately, because the loader continues to read at the same time.
    """
    config, threads = loader.config, loader.config.threads or 1
    work = list(islice(shares(loader, 1), SAMPLE // config.batch))
    # As many image arrays in turn as the loader has in progress: a single array would stay in the CPU's cache.
    images = [np.empty((config.batch, 64, 64, 3), np.uint8) for _ in range(max(2, threads) + config.ahead + 1)]

    def draw(thread: int) -> float:
        start = time.thread_time()
        for k, (packed, rows) in enumerate(work[thread::threads]):
            out = images[(k * threads + thread) % len(images)]
            drawings = packed.unpack(loader.split.manifest.classes)
            if config.augmentation is None:
                render(drawings, config.render, out=out)
            else:
                render_augmented(
                    drawings, rows, config.render, config.augmentation, seed=0, epoch=1, out=out
                )  # fmt: skip
        return time.thread_time() - start

    for batch in islice(loader.epoch(1), 8):  # compiles kernels, and reads shards that are kept in memory
        loader.give_back(batch)
    rendering, drawn, start = 0.0, 0, time.process_time()
    with ThreadPoolExecutor(threads) as pool, contextlib.closing(loader.epoch(0)) as batches:
        for batch in batches:
            loader.give_back(batch)
            if batch.step % (len(loader) // SEGMENTS) == 0:
                rendering += sum(pool.map(draw, range(threads)))
                drawn += len(work) * config.batch
    loading = time.process_time() - start - rendering
    return len(loader) * config.batch / loading, drawn / rendering


def print_memory(arguments: argparse.Namespace) -> None:
    """Print the peak memory of a process that streams the same rows from few and from many shards."""
    for count in (4, 200):
        folder = build_shards(arguments.source, arguments.work / f"shards-{count}", arguments.gigabytes, count)
        done = run_child([sys.executable, __file__, "--peak", str(folder)])
        print(f"streamed from {count} shards: peak {done.peak_bytes / 1e6:.0f} MB {done.said.strip()}", flush=True)


def stream_epoch(folder: Path) -> None:
    """Stream an epoch; this runs in the child whose peak memory is measured."""
    loader_module.KEPT_ROW_GROUPS = 0
    loader = Loader(open_split(folder, "train"), LoaderConfig(1024, threads=2))
    for _ in shares(loader, 0):
        pass
    for batch in islice(loader.epoch(1), 64):
        loader.give_back(batch)


if __name__ == "__main__":
    main()
