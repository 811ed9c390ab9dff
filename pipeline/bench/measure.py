"""Measures how many drawings this machine scans, builds, reads, renders and feeds in a second.

Wall time, for that is what a user waits: each figure is the best of short rounds, behind a first one that does not
count, because it compiles kernels or loads them. What is read was written just before, so that it comes from the page
cache. Knows no JAX: what a network takes comes on top.
"""

import contextlib
import platform
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numba.core import event

from pipeline.bench.inputs import Text, doodle_lines, lines_of, write_text
from pipeline.errors import OutputError
from pipeline.loading.loader import KEPT_ROW_GROUPS, Loader, LoaderConfig
from pipeline.progress import Progress, untold
from pipeline.rendering.augment import Augmentation
from pipeline.rendering.render import RenderConfig, render
from pipeline.shards.folder import build_folder
from pipeline.shards.options import BuildOptions
from pipeline.shards.read import ShardSplit, open_split
from pipeline.sources.readers import read_source, scan_source
from pipeline.threads import brisk_switching, core_count, ordered_map

ALL_DRAWINGS, ALL_BYTES = 50_000_000, 23_000_000_000  # Google's simplified files, as the dataset's page tells
SECONDS = 20.0  # of rounds, all together
WHOLE_SECONDS = 45.0  # behind which each stage has one round, so that even the first time takes less than a minute
TEXT_BYTES = 200_000_000  # a build costs a tenth of a second and a sync, however small it is
SIZE = 64  # pixels
_BATCH = 128
_BLOCK = 1024  # drawings rendered at a time
_ROW_GROUPS = 16  # read in a round
_ROUND_SECONDS = 0.2
_DOES_THE_WORK = ("sketchpipe", "numpy", "numba", "pyarrow")

Rounds = Generator[int, None, None]
"""Does the same work over and over, and tells after each round how many drawings that were."""
_Stage = tuple[str, int, Callable[[], Rounds]]


@dataclass(frozen=True)
class Rate:
    """One figure.

    Attributes:
        stage: scan, build, read, render, feed or feed augmented.
        threads: that worked on it.
        drawings_per_second: or images.
        bytes_per_second: of ndjson; None where nothing is read of it.
    """

    stage: str
    threads: int
    drawings_per_second: float
    bytes_per_second: float | None = None


@dataclass(frozen=True)
class Speed:
    """What was measured, and on what.

    Attributes:
        versions: of sketchpipe, Python and what does the work.
        cpu: what the processor calls itself.
        cores: that this process may use.
        synthetic: whether the drawings are doodles made for this.
        points_per_drawing: of the drawings that were rendered.
        bytes_per_line: of the ndjson.
        image_size: pixels.
        rates: the figures.
        first_calls_seconds: what compiling or loading kernels took, which is in no figure.
        build_hours: for Google's 50 million drawings, 23 GB, by the rate of `build`.
        epoch_hours: for reading as many once and feeding them, augmented, one after the other where `feed augmented`
            did not read: a loader keeps so few drawings as doodles are, and of 50 million it reads all in each epoch.
        peak_memory_bytes: of this process.
    """

    versions: dict[str, str]
    cpu: str
    cores: int
    synthetic: bool
    points_per_drawing: float
    bytes_per_line: float
    image_size: int
    rates: tuple[Rate, ...]
    first_calls_seconds: float
    build_hours: float
    epoch_hours: float
    peak_memory_bytes: int


def measure_speed(
    shards: Path | None = None,
    *,
    progress: Progress = untold,
    notice: Callable[[str], None] = lambda _message: None,
) -> Speed:
    """Measure this machine, in a temporary folder that is gone afterwards.

    Args:
        shards: whose drawings to take; None makes doodles.
        progress: is told of stages that are measured.
        notice: is told once, in a sentence, when kernels have to be compiled.

    Raises:
        OutputError: the temporary folder cannot be written.
        SketchpipeError: the shards cannot be read.
    """
    end = time.perf_counter() + WHOLE_SECONDS
    cores = core_count()
    given = None if shards is None else open_split(shards, "train")
    with _temporary_folder() as folder, brisk_switching(), telling_of_compiling(notice):
        progress("preparing drawings", 0)
        text = write_text(folder / "drawings.ndjson", doodle_lines() if given is None else lines_of(given), TEXT_BYTES)
        rates, first_calls = _measure(list(_stages(text, folder / "shards", given, cores)), end, text, progress)
        split = _opened(folder / "shards", given)
        sample = split.read_row_group(0)
    seconds = {rate.stage: 1 / rate.drawings_per_second for rate in rates}  # of each the last, with all threads
    reading = seconds["read"] if len(split.row_groups) < KEPT_ROW_GROUPS else 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Speed(
        versions={"python": platform.python_version(), **{package: version(package) for package in _DOES_THE_WORK}},
        cpu=_cpu(),
        cores=cores,
        synthetic=given is None or given.manifest.synthetic,
        points_per_drawing=len(sample.x) / len(sample),
        bytes_per_line=text.bytes_per_line,
        image_size=SIZE,
        rates=tuple(rates),
        first_calls_seconds=first_calls,
        build_hours=ALL_BYTES / text.bytes_per_line * seconds["build"] / 3600,
        epoch_hours=ALL_DRAWINGS * (reading + seconds["feed augmented"]) / 3600,
        peak_memory_bytes=peak if sys.platform == "darwin" else peak * 1024,  # Linux counts kilobytes
    )


@contextlib.contextmanager
def telling_of_compiling(notice: Callable[[str], None]) -> Iterator[None]:
    """Say once, in a sentence, when a kernel is compiled because none is in the cache."""
    told = threading.Lock()

    class Listener(event.Listener):
        def on_start(self, _event: object) -> None:
            if told.acquire(blocking=False):
                notice("compiling kernels, once: that may take half a minute")

        def on_end(self, _event: object) -> None:
            pass

    with event.install_listener("numba:compile", Listener()):
        yield


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder that is gone afterwards; what cannot be written there is told with the remedy."""
    remedy = "up to 0.5 GB of temporary files; let TMPDIR name a folder with room for them"
    try:
        with tempfile.TemporaryDirectory(prefix="sketchpipe-bench-") as name:
            yield Path(name)
    except (OSError, OutputError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        place = tempfile.tempdir or "TMPDIR"
        raise OutputError(f"{place}: bench cannot write there ({why}); it needs {remedy}") from error


def _measure(stages: Sequence[_Stage], end: float, text: Text, progress: Progress) -> tuple[list[Rate], float]:
    """The rate of each stage, and the seconds of all their first rounds.

    Args:
        stages: what to measure.
        end: when to be done; what first rounds take beyond their share, the later stages have less.
        text: what is scanned and built.
        progress: is told of stages.
    """
    rates, first_calls = [], 0.0
    for step, (stage, workers, rounds_of) in enumerate(stages):
        progress(f"measuring {stage} on {workers} thread{'s' if workers > 1 else ''}", step, len(stages))
        with contextlib.closing(rounds_of()) as rounds:
            start = time.perf_counter()
            next(rounds)
            first_calls += time.perf_counter() - start
            left = (end - time.perf_counter()) / (len(stages) - step)
            best = _best(rounds, min(SECONDS / len(stages), left))
        rates.append(Rate(stage, workers, best, best * text.bytes_per_line if stage in ("scan", "build") else None))
    return rates, first_calls


def _stages(text: Text, folder: Path, given: ShardSplit | None, threads: int) -> Iterator[_Stage]:
    """Each stage's name, threads and rounds; what reads shards comes behind the build that makes them."""
    one_and_all = sorted({1, threads})
    split = partial(_opened, folder, given)
    for workers in one_and_all:
        yield "scan", workers, partial(_scan, text, workers)
    yield "build", threads, partial(_build, text, folder, threads)
    for workers in one_and_all:
        yield "read", workers, partial(_read, split, workers)
    for workers in one_and_all:
        yield "render", workers, partial(_render, split, workers)
    yield "feed", threads, partial(_feed, split, None, threads)
    yield "feed augmented", threads, partial(_feed, split, Augmentation(), threads)


def _opened(folder: Path, given: ShardSplit | None) -> ShardSplit:
    """What is read, rendered and fed: the user's shards, or those that were built."""
    return given or open_split(folder, "train")


def _best(rounds: Rounds, seconds: float) -> float:
    """Drawings a second of the best round; one at least, and others are begun for so long."""
    best, begin = 0.0, time.perf_counter()
    while not best or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        count = next(rounds)
        best = max(best, count / (time.perf_counter() - start))
    return best


def _scan(text: Text, threads: int) -> Rounds:
    while True:
        scanned = ordered_map(partial(scan_source, text.source), read_source(text.source), threads)
        yield sum(len(chunk.drawings) for chunk in scanned)


def _build(text: Text, folder: Path, threads: int) -> Rounds:
    while True:
        build_folder([text.source], folder, BuildOptions(), workers=threads, force=True)
        yield text.drawings


def _read(opened: Callable[[], ShardSplit], threads: int) -> Rounds:
    """Row groups to strokes, their rows permuted."""
    split = opened()
    groups = range(min(_ROW_GROUPS, len(split.row_groups)))
    dice = np.random.default_rng(0)
    orders = [dice.permutation(np.diff(split.row_starts)[group]) for group in groups]
    while True:
        yield sum(ordered_map(lambda group: len(split.read_row_group(group).take(orders[group])), groups, threads))


def _render(opened: Callable[[], ShardSplit], threads: int) -> Rounds:
    drawings, config = opened().read_row_group(0), RenderConfig(SIZE)
    starts = range(0, len(drawings), _BLOCK)
    blocks = [drawings.slice(start, min(start + _BLOCK, len(drawings))) for start in starts]
    images = np.empty((threads + 2, _BLOCK, SIZE, SIZE, config.channels), np.uint8)  # more than are in work at a time

    def draw(number: int) -> int:
        block = blocks[number]
        render(block, config, out=images[number % len(images), : len(block)])
        return len(block)

    while True:
        yield sum(ordered_map(draw, range(len(blocks)), threads))


def _feed(opened: Callable[[], ShardSplit], augmentation: Augmentation | None, threads: int) -> Rounds:
    """The whole loader, epoch after epoch; the first round ends when the loader runs."""
    split = opened()
    batch = min(_BATCH, len(split))
    loader = Loader(split, LoaderConfig(batch, RenderConfig(SIZE), augmentation, threads=threads))
    epoch, fed, end = 0, 0, time.perf_counter() + _ROUND_SECONDS
    while True:
        with contextlib.closing(loader.epoch(epoch)) as batches:
            for one in batches:
                loader.give_back(one)
                fed += batch
                if time.perf_counter() >= end:
                    yield fed
                    fed, end = 0, time.perf_counter() + _ROUND_SECONDS
        epoch += 1


def _cpu() -> str:
    """What the processor calls itself, or its kind."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
