"""Measures how many drawings this machine scans, builds, reads, renders and feeds in a second.

It measures wall time, because that is what a user waits for. Each figure is the best of several short rounds after a
first one that is not counted, because it compiles or loads kernels. Files are read just after they were written, so
they come from the page cache. It does not use JAX: the time of a network is not included.
"""

import contextlib
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

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

ALL_DRAWINGS, ALL_BYTES = 50_000_000, 23_000_000_000  # of Google's simplified files, as the dataset's page says
SECONDS = 20.0  # of all rounds together
WHOLE_SECONDS = 45.0  # after which each stage gets only one round, so that even a first run takes less than a minute
TEXT_BYTES = 200_000_000  # a build takes a tenth of a second and a sync, however small it is
SIZE = 64  # pixels
_BATCH = 128
_BLOCK = 1024  # drawings rendered at a time
_ROW_GROUPS = 16  # read in a round, at most
_ROUND_SECONDS = 0.2
_DOES_THE_WORK = ("sketchpipe", "numpy", "numba", "pyarrow")

Rounds = Generator[int, None, None]
"""Repeats the same work, and yields after each round how many drawings it handled."""
_Stage = tuple[str, int, Callable[[], Rounds]]


@dataclass(frozen=True)
class Rate:
    """The speed of one stage.

    Attributes:
        stage: scan, build, read, render, feed or feed augmented.
        threads: how many threads worked.
        drawings_per_second: drawings, or images, per second.
        bytes_per_second: bytes of ndjson per second; None if the stage reads no ndjson.
    """

    stage: str
    threads: int
    drawings_per_second: float
    bytes_per_second: float | None = None


@dataclass(frozen=True)
class Speed:
    """What was measured, and on what.

    Attributes:
        versions: the versions of sketchpipe, Python, NumPy, numba and pyarrow.
        cpu: the name of the processor.
        cores: how many cores this process may use.
        synthetic: whether the drawings are synthetic doodles.
        points_per_drawing: the mean number of points of the drawings that were rendered.
        bytes_per_line: the mean length of a line of the ndjson.
        image_size: width and height of an image, pixels.
        rates: the speed of each stage.
        first_calls_seconds: the time of the first rounds, which compile or load kernels and are not counted.
        build_hours: the time to build shards of Google's 50 million drawings, 23 GB, at the speed of `build`.
        epoch_hours: the time to feed as many drawings once, augmented. If `feed augmented` did not read, because the
            loader keeps row groups of a split this small, the time to read them is added: of 50 million drawings the
            loader reads all in each epoch.
        peak_memory_bytes: the peak memory of this process.
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


def measure_speed(shards: Path | None = None, *, progress: Progress = untold) -> Speed:
    """Measure this machine, in a temporary folder that is removed afterwards.

    Args:
        shards: the shards whose drawings to measure with; None makes synthetic doodles.
        progress: is called for each stage.

    Raises:
        OutputError: the temporary folder cannot be written.
        SketchpipeError: the shards cannot be read.
    """
    end = time.perf_counter() + WHOLE_SECONDS
    cores = core_count()
    given = None if shards is None else open_split(shards, "train")
    with _temporary_folder() as folder, brisk_switching():
        progress("preparing drawings", 0)
        text = write_text(folder / "drawings.ndjson", doodle_lines() if given is None else lines_of(given), TEXT_BYTES)
        rates, first_calls = _measure(list(_stages(text, folder / "shards", given, cores)), end, text, progress)
        split = _opened(folder / "shards", given)
        sample = split.read_row_group(0)
    seconds = {rate.stage: 1 / rate.drawings_per_second for rate in rates}  # of each stage the last, with all threads
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
        peak_memory_bytes=peak if sys.platform == "darwin" else peak * 1024,  # Linux gives kilobytes
    )


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder that is removed afterwards; an error of writing there says what to do."""
    remedy = "up to 0.5 GB for temporary files; set TMPDIR to a folder with room for them"
    try:
        with tempfile.TemporaryDirectory(prefix="sketchpipe-bench-") as name:
            yield Path(name)
    except (OSError, OutputError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        place = tempfile.tempdir or "TMPDIR"
        raise OutputError(f"{place}: bench cannot write there ({why}); it needs {remedy}") from error


def _measure(stages: Sequence[_Stage], end: float, text: Text, progress: Progress) -> tuple[list[Rate], float]:
    """Measure the rate of each stage, and the seconds of all first rounds together.

    Args:
        stages: the stages to measure.
        end: when to be done, as `time.perf_counter` counts; the later stages get less time if first rounds take long.
        text: the file that is scanned and built from.
        progress: is called for each stage.
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
    """Each stage's name, threads and rounds; stages that read shards come after the build that makes them."""
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
    """The shards to read, render and feed: those of the user, or those that were built."""
    return given or open_split(folder, "train")


def _best(rounds: Rounds, seconds: float) -> float:
    """Drawings a second in the best round; runs at least one, and starts others for `seconds`."""
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
    """Read row groups as strokes, and permute their rows."""
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
    images = np.empty(
        (threads + 2, _BLOCK, SIZE, SIZE, config.channels), np.uint8
    )  # more than are in use at the same time

    def draw(number: int) -> int:
        block = blocks[number]
        render(block, config, out=images[number % len(images), : len(block)])
        return len(block)

    while True:
        yield sum(ordered_map(draw, range(len(blocks)), threads))


def _feed(opened: Callable[[], ShardSplit], augmentation: Augmentation | None, threads: int) -> Rounds:
    """Run the whole loader, epoch after epoch; the first round includes its start."""
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
    """The name of the processor, or else its architecture."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
