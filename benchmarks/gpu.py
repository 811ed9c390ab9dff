"""Measures training on one GPU: steps alone, end to end from shards, and the chip's matrix rate.

    python benchmarks/gpu.py SKETCHES [--whole-pass] [--networks ...] [--batch 1024] [--drawings N] [--classes 65]
                             [--seconds S] [--limit S] [--work DIR] [--to FILE] [--device auto]

SKETCHES holds Google's simplified ndjson, one file for each class; the lines of the first `--classes` files are
replicated with new key_ids (pipeline.bench.replicas) and built into shards, which `--work` keeps for the next time.

- Matrix rate: the product of two large square matrices of random numbers, the best of several. float32 is measured at
  JAX's default precision, which means TF32 on NVIDIA GPUs since Ampere, and at "highest", which never does: if the two
  rates are equal, the default is not TF32.
- Step alone: the compiled steps of `sketchpipe train`, repeated on one batch that stays on the device; the better of
  two rates, one measured before and one after the end-to-end run.
- Share of the matrix rate: the operations of a step times steps per second, divided by the matrix rate of the same
  precision at JAX's default. Operations are XLA's count before it optimizes the step, elementwise operations included;
  for sketch-classifier that is 5 % more than a hand count of its convolutions and its dense layer.
- End to end: the loader with the recipe's augmentation, feed, meter and steps as in `sketchpipe train`. Waiting is the
  share of the time spent waiting for the loader. With `--whole-pass` sketch-classifier makes one real pass over 9
  million drawings, reading the shards included, in the precision that `sketchpipe train` would choose (4.8 GB of lines
  and 1.2 GB of shards, which take a minute to make on two cores). Every other end-to-end run lasts `--seconds` after
  the loader has begun, and its times for 9 and 50 million drawings are computed from its rate (~) with networks of
  `--classes` classes: give `--classes 345` for a rate with all classes.

First calls compile; nothing comes from a cache on disk. A row is reported as failed unless its steps were compiled only
once and all their buffers were donated. After `--limit` seconds no new row is started, so that the whole takes less
than eight minutes. `--to` writes what is printed to a file as well, line by line.
"""

import argparse
import contextlib
import io
import itertools
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, get_args

sys.path.insert(0, str(Path(__file__).parents[1]))
import jax
from gpu_rates import Training, build_shards, least_drawings, loader_rate, matrix_rate, put_rate, real_drawings
from machine import machine, say
from training import positive

from model.compute.choices import Device
from model.compute.devices import choose_devices, choose_precision, describe
from model.config import TrainConfig
from model.networks import make_config
from model.specs import NETWORKS
from pipeline.errors import SketchpipeError, UsageError
from pipeline.loading.loader import Loader, LoaderConfig
from pipeline.shards.read import ShardSplit, open_split

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numba", "numpy", "pyarrow")
PRECISIONS = ("bfloat16", "float32")
MATRIX_SIZE = {"cpu": 1024, "gpu": 8192}  # rows and columns; each takes a second or two
FEEDING_SECONDS = 3.0
WHOLE_PASS = 9_000_000  # drawings
WHOLE_PASS_NETWORK = "sketch-classifier"
HEADER = """\
| network | precision | first call s | step alone, images/s | MFLOP each | of the matrix rate | end to end, images/s \
| of step alone | waiting | 9 M drawings, s | 50 M drawings, s |
|---|---|---|---|---|---|---|---|---|---|---|"""


def main() -> None:
    arguments = parse()
    try:
        # An empty cache folder, so that each first call compiles.
        with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as work:
            jax.config.update("jax_compilation_cache_dir", cache)
            if arguments.to is None:
                measure(arguments, arguments.work or Path(work))
            else:
                with arguments.to.open("w") as file, contextlib.redirect_stdout(Both(sys.stdout, file)):
                    measure(arguments, arguments.work or Path(work))
    except SketchpipeError as error:
        print(f"gpu: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


class Both(io.TextIOBase):
    """Writes to two files, and flushes both after each write."""

    def __init__(self, *files: TextIO) -> None:
        self._files = files

    def write(self, text: str) -> int:
        """Write text to both files."""
        for file in self._files:
            file.write(text)
            file.flush()
        return len(text)


def measure(arguments: argparse.Namespace, work: Path) -> None:
    """Measure and print everything; `work` keeps the shards.

    Raises:
        SketchpipeError: the device does not exist, the shards cannot be built, or are too small for a rate.
    """
    began = time.perf_counter()
    # JAX only warns of buffers that cannot be donated, and then the state takes twice its memory.
    warnings.filterwarnings("error", message=".*donated buffers")
    device = choose_devices(arguments.device)[0]
    drawings = arguments.drawings or (WHOLE_PASS if arguments.whole_pass else 1_000_000)
    least = least_drawings(device, arguments.batch)
    if drawings < least:
        raise UsageError(f"{drawings:,} drawings: a rate needs {least:,}; give more --drawings or a smaller --batch")
    print(f"{machine(PACKAGES)}; {describe([device])}{driver(device)}.\n", flush=True)
    matrix_rates = print_matrix_rates(device)
    folder = build_shards(arguments.sketches, work, drawings, arguments.classes)
    bench = Bench(arguments, device, open_split(folder, "train"), matrix_rates, began)
    real = real_drawings(arguments.sketches, arguments.classes)
    print(
        f"{len(bench.split):,} drawings of {len(bench.split.manifest.classes)} classes in shards, replicated from "
        f"{real:,} real ones; networks of {arguments.classes} classes; batches of {arguments.batch}.\n"
    )
    bench.print_feeding()
    bench.print_networks()
    print(f"\nTotal time: {time.perf_counter() - began:.0f} s.")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Training on one GPU: steps alone, end to end, and the chip's rate.")
    parser.add_argument("sketches", type=Path, help="folder of simplified ndjson, one file a class")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="all by default")
    parser.add_argument("--batch", type=positive, default=1024, help="drawings in a step (%(default)s)")
    parser.add_argument("--drawings", type=positive, help="drawings in the shards (1,000,000; --whole-pass: 9,000,000)")
    parser.add_argument("--classes", type=positive, default=65, help="classes of shards and networks (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of each measurement (%(default)s)")
    parser.add_argument("--limit", type=float, default=420.0, help="seconds after which no row begins (%(default)s)")
    parser.add_argument("--work", type=Path, help="folder that keeps the shards")
    parser.add_argument("--to", type=Path, metavar="FILE", help="file that gets what is printed as well")
    parser.add_argument("--whole-pass", action="store_true", help="train sketch-classifier for a whole pass")
    parser.add_argument(
        "--device", choices=get_args(Device), default="auto", help="the first device of this kind (%(default)s)"
    )
    arguments = parser.parse_args()
    if arguments.whole_pass and WHOLE_PASS_NETWORK not in arguments.networks:
        parser.error(f"--whole-pass trains {WHOLE_PASS_NETWORK}: name it in --networks")
    return arguments


def driver(device: jax.Device) -> str:
    """The GPU's driver, memory and JAX platform version; for a CPU a note that the figures are not of a GPU."""
    if device.platform == "cpu":
        return ": NOT A GPU, these figures only show that the script runs"
    version = " ".join(device.client.platform_version.split())
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return f", {version}"
    asked = [tool, "--query-gpu=driver_version,memory.total", "--format=csv,noheader"]
    said = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False).stdout.splitlines()
    return f", driver and memory {said[0] if said else 'unknown'}, {version}"


def print_matrix_rates(device: jax.Device) -> dict[str, float]:
    """Print the matrix rates; returns those at JAX's default precision in operations per second, by dtype."""
    size = MATRIX_SIZE["cpu" if device.platform == "cpu" else "gpu"]
    rates: dict[str, float] = {}
    print(f"| product of {size} x {size} matrices | TFLOP/s |\n|---|---|")
    for dtype, precision in (("bfloat16", None), ("float32", None), ("float32", "highest")):
        rate = matrix_rate(device, size, dtype, precision)
        rates.setdefault(dtype, rate)
        print(f"| {dtype}, precision {precision or 'default'} | {rate / 1e12:.3g} |", flush=True)
    print()
    return rates


@dataclass
class Bench:
    """What every row of the networks' table needs.

    Attributes:
        arguments: the arguments of the command.
        device: the device that trains.
        split: the split of the shards to train on.
        matrix_rates: operations per second, by dtype.
        began: when the script began.
    """

    arguments: argparse.Namespace
    device: jax.Device
    split: ShardSplit
    matrix_rates: dict[str, float]
    began: float

    def __post_init__(self) -> None:
        self._loaders: dict[str, Loader] = {}
        self._loader_rates: dict[str, float] = {}
        self._epochs = itertools.count()

    def print_feeding(self) -> None:
        """Print the rates of each recipe's loader alone, and of copying its batches to the device alone."""
        print("| feeding, alone | images/s |\n|---|---|")
        for network in self.arguments.networks:
            config = self.config(network, "float32")
            if render_settings(config) in self._loader_rates:
                continue
            loader = self.loader(config)
            rate = loader_rate(loader, next(self._epochs), FEEDING_SECONDS)
            self._loader_rates[render_settings(config)] = rate
            print(f"| loader: {render_settings(config)} | {rate:,.0f} |", flush=True)
            moved = put_rate(next(loader.epoch(0)), self.device, FEEDING_SECONDS)
            print(f"| its batches to the device | {moved:,.0f} |", flush=True)
        print()

    def print_networks(self) -> None:
        """Print a row for each network in each precision."""
        print(HEADER, flush=True)
        # The whole pass comes first, while there is time for it.
        networks = sorted(self.arguments.networks, key=lambda name: name != WHOLE_PASS_NETWORK)
        for name, precision in itertools.product(networks, PRECISIONS):
            before = f"| {name} | {precision} |"
            if self.left() < 0:
                print(f"{before} left out: --limit is reached |", flush=True)
                continue
            try:
                row = self.row(self.config(name, precision))
            except Exception as error:  # after any error (of memory, of a compiler) the other rows are still measured
                row = f"failed: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:120]} |"
            print(f"{before} {row}", flush=True)

    def row(self, config: TrainConfig) -> str:
        """The cells of a row after the network and the precision."""
        loader, seconds = self.loader(config), self.arguments.seconds
        training = Training(config, len(loader), self.device)
        first = training.first_call(next(loader.epoch(0)))
        operations = training.operations()
        rates = [training.step_rate(seconds)]
        whole = self.passes_whole(config, rates[0])
        say(f"{config.network}, {config.precision}: {'a whole pass' if whole else 'end to end'}")
        if whole:  # a new loader, so that the reading of the shards is timed
            done = training.end_to_end(Loader(self.split, loader.config), 0, None)
        else:
            done = training.end_to_end(loader, next(self._epochs), seconds)
        rates.append(training.step_rate(seconds))
        compiled = training.compiled.train_steps._cache_size()
        if compiled != 1:
            raise RuntimeError(f"the steps were compiled {compiled} times")
        rate = max(rates)
        share = operations * rate / self.matrix_rates[config.precision]
        passed = f"{done.seconds:.1f} for {done.drawings:,}" if whole else f"~{WHOLE_PASS / done.rate:.1f}"
        return (
            f"{first:.1f} | {rate:,.0f} | {operations / 1e6:.3g} | {share:.2%} | {done.rate:,.0f} "
            f"| {done.rate / rate:.1%} | {done.waiting:.1%} | {passed} | ~{50_000_000 / done.rate:.1f} |"
        )

    def passes_whole(self, config: TrainConfig, step_rate: float) -> bool:
        """Whether this is the row of the whole pass and there is time for it."""
        chosen = choose_precision("auto", [self.device])
        if not self.arguments.whole_pass or (config.network, config.precision) != (WHOLE_PASS_NETWORK, chosen):
            return False
        expected, left = len(self.split) / min(step_rate, self._loader_rates[render_settings(config)]), self.left()
        if expected >= left:
            say(f"no whole pass: it would take about {expected:.0f} s, and {left:.0f} s are left of --limit")
        return expected < left

    def left(self) -> float:
        """Seconds left until no new row is started."""
        return self.arguments.limit - (time.perf_counter() - self.began)

    def config(self, network: str, precision: str) -> TrainConfig:
        """A network's recipe for `--classes`; placeholder words stand for classes that the shards do not have."""
        words, count = self.split.manifest.classes, self.arguments.classes
        words = (*words, *(f"class {number}" for number in range(len(words), count)))
        return make_config(
            network, words, drawings=len(self.split), batch=self.arguments.batch, precision=precision, epochs=1
        )

    def loader(self, config: TrainConfig) -> Loader:
        """The loader of a recipe, shared by all rows of that recipe, because it keeps the drawings it has read."""
        if render_settings(config) not in self._loaders:
            settings = LoaderConfig(
                config.batch, render=config.render_config(), augmentation=config.augmentation(), seed=config.seed
            )
            self._loaders[render_settings(config)] = Loader(self.split, settings)
        return self._loaders[render_settings(config)]


def render_settings(config: TrainConfig) -> str:
    """A recipe's encoding, framing and augmentation, in words."""
    augmented = "augmented" if config.augmentation() else "not augmented"
    return f"encoding {config.encoding}, {config.framing}, {augmented}"


if __name__ == "__main__":
    main()
