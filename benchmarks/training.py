"""Measures the whole training loop on the CPU against the same network in PyTorch with its own loader.

    python benchmarks/training.py SKETCHES [--rounds 5] [--seconds 5] [--batch 128] [--network NAME ...]
                                  [--peer PYTHON] [--compile]

SKETCHES holds ndjson drawings. Both sides train on the training split of the shards built from them, with the network's
recipe but without augmentation, on all cores. Both have decoded strokes in memory (a Loader keeps a small split
decoded). sketchpipe's time includes unpacking and rendering as the recipe says, with framing and encoding, and it is
data-parallel with a device for each core, as the command is (benchmarks/training_sketchpipe.py). The peer has an easier
task: its strokes are already in OpenCV's fixed point, and OpenCV draws them directly at 64 pixels
(benchmarks/training_torch.py). It is one process whose threads share each operation, on all cores by PyTorch's default;
its settings, including the number of threads (one, and as many as cores), are the fastest found at its start, and the
table names them. Before that it proves that it is the same network: it has the same number of parameters and, with the
same weights, the same logits and loss on a batch of real drawings.

Each side is a process of its own that computes only on request. Rounds alternate; starting, compiling and the first
steps of a round are not counted. "Step alone" repeats one batch. The first step compiles; nothing comes from a cache on
disk. A ratio is that of two rates of one round, and the table has the median over the rounds. The machine has to be
idle: PyTorch's threads wait for each other by spinning, and beside one other busy process they lose far more than its
share of a core (sketchnet on 2 cores: 900 images per CPU second on one thread, 70 to 290 on two).

`--compile` adds PyTorch with torch.compile, which needs a C++ compiler. `--peer` names the Python of an environment
that has PyTorch and OpenCV, if this one does not; `pip install -e ".[dev,bench]"` installs everything.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from children import ROOT, SKETCHPIPE, run_child
from machine import machine, say

HERE = Path(__file__).parent
NETWORKS = ("sketchnet", "sketch-classifier", "quickdraw-classifier")
LARGER = ("sketchnet-base", "sketchnet-large")  # for GPUs, measured only on request
PACKAGES = ("sketchpipe", "jax", "flax", "optax", "numba", "numpy", "pyarrow")
WARM_STEPS = 3  # steps of a round before the clock starts
TRIAL_SECONDS = 0.8  # of each trial to find the fastest settings
PAUSE_SECONDS = 0.3  # between two processes, so that spinning threads stop and loaders finish working ahead

Rounds = dict[str, Callable[[], object]]  # what a side can measure, by name: a function that makes one step


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure training against the same network in PyTorch.")
    parser.add_argument("sketches", type=Path, help="folder of ndjson drawings")
    parser.add_argument("--rounds", type=positive, default=5, help="rounds; tables have their median (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds of each measurement (%(default)s)")
    parser.add_argument("--batch", type=positive, default=128, help="drawings in a step (%(default)s)")
    parser.add_argument("--network", nargs="+", choices=NETWORKS + LARGER, default=NETWORKS)
    parser.add_argument("--peer", default=sys.executable, help="a Python that has PyTorch; this one by default")
    parser.add_argument("--compile", action="store_true", help="also measure PyTorch with torch.compile")
    arguments = parser.parse_args()
    if arguments.seconds < 1:
        parser.error(f"--seconds {arguments.seconds:g}: expected 1 or more")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        count = prepare(arguments.sketches, work)
        tables = [measure(name, work, arguments) for name in arguments.network]
    peers = next((sides[1].ready["versions"] for sides in tables if len(sides) > 1), "no PyTorch")
    print(f"{machine(PACKAGES)}; {peers}.")
    print(
        f"{count:,} drawings of {arguments.sketches.name}/, batches of {arguments.batch}, {arguments.rounds} rounds.\n"
    )
    for name, sides in zip(arguments.network, tables, strict=True):
        print(f"{table(name, sides)}\n")


def positive(text: str) -> int:
    """The number of an option, which must be 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}: expected 1 or more")
    return number


def prepare(sketches: Path, work: Path) -> int:
    """Build the shards and the peer's store; returns how many drawings are in each."""
    from feed_store import write_store

    built = run_child([*SKETCHPIPE, "shards", str(sketches.resolve()), "--to", str(work / "shards")])
    if built.code:
        sys.exit(f"training: {built.complaint}")
    return write_store(work / "shards", work / "straight", "straight")


@dataclass
class Side:
    """A process that trains on request.

    Attributes:
        title: its name in the table.
        child: the process; it reads requests from stdin and answers each with a line of JSON on stdout.
        ready: its description of itself, sent when it was ready.
        rates: images per second of each round, for each thing that it measures.
    """

    title: str
    child: subprocess.Popen[str]
    ready: dict[str, Any]
    rates: dict[str, list[float]] = field(default_factory=dict)

    def run(self, what: str, seconds: float) -> None:
        """Let the process do `what` for `seconds`, and record its rate."""
        assert self.child.stdin is not None
        print(what, seconds, file=self.child.stdin, flush=True)
        found = answer(self.child, self.title)
        self.rates.setdefault(what, []).append(found["images"] / found["seconds"])
        time.sleep(PAUSE_SECONDS)


def measure(name: str, work: Path, arguments: argparse.Namespace) -> list[Side]:
    """Measure a network: sketchpipe's side first, then the peers that are installed."""
    reference = work / f"{name}.npz"
    ours = [sys.executable, HERE / "training_sketchpipe.py", name, arguments.batch, work / "shards", reference]
    peer = [arguments.peer, HERE / "training_torch.py", work / "straight", reference]
    with ExitStack() as stack:
        sides = [stack.enter_context(started("sketchpipe", ours))]
        for mode in ("eager", "compiled")[: 1 + arguments.compile]:
            side = stack.enter_context(started(f"PyTorch, {mode}", [*peer, mode]))
            if "missing" in side.ready:
                say(f"left out: {side.title} ({side.ready['missing']})")
            else:
                sides.append(side)
        for number in range(arguments.rounds):
            for what in ("loop", "step"):
                for side in sides:
                    side.run(what, arguments.seconds)
            sides[0].run("augmented", arguments.seconds)
            say(f"{name}: round {number + 1} of {arguments.rounds}")
    return sides


@contextmanager
def started(title: str, command: Sequence[object]) -> Iterator[Side]:
    """Start a side and wait until it is ready; it is ended with the block."""
    program = [str(part) for part in command]
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        cache = stack.enter_context(tempfile.TemporaryDirectory())  # empty, so that the first step compiles
        caches = dict.fromkeys(("JAX_COMPILATION_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"), cache)
        environment = os.environ | {"PYTHONPATH": str(ROOT)} | caches
        child = stack.enter_context(subprocess.Popen(program, stdin=pipe, stdout=pipe, text=True, env=environment))
        try:
            ready = answer(child, title)
            if "missing" not in ready:
                say(f"{title}: {ready}")
            yield Side(title, child, ready)
        except BaseException:
            child.kill()
            raise


def answer(child: "subprocess.Popen[str]", title: str) -> dict[str, Any]:
    """The next line of JSON from a child; exits if there is none, and then the child's stderr says why."""
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    sys.exit(f"training: {title} ended with exit code {child.wait()}")


def table(name: str, sides: list[Side]) -> str:
    """A network's table: best and median rates, and the ratio of sketchpipe's rate to each peer's."""
    lines = [
        "| " + name + " | images/s, best | median | sketchpipe against it | step alone, best | median "
        "| sketchpipe against it | first step s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    ours = sides[0]
    for side in sides:
        title = f"{side.title}, {side.ready['chosen']}" if "chosen" in side.ready else side.title
        loop, step = (f"{figures(side, what)} | {times(ours, side, what)}" for what in ("loop", "step"))
        lines.append(f"| {title} | {loop} | {step} | {side.ready['first_step']:.1f} |")
    lines.append(f"| sketchpipe, augmented | {figures(ours, 'augmented')} | | | | | |")
    off = max((side.ready["off"] for side in sides[1:]), default=None)
    if off is not None:
        lines += ["", f"With the same weights the logits differ by at most {off:.1g} of the largest."]
    return "\n".join(lines)


def figures(side: Side, what: str) -> str:
    rates = side.rates[what]
    return f"{max(rates):,.0f} | {statistics.median(rates):,.0f}"


def times(ours: Side, side: Side, what: str) -> str:
    """The median over rounds of the ratio of sketchpipe's rate to the side's rate."""
    if side is ours:
        return ""
    return f"{statistics.median(a / b for a, b in zip(ours.rates[what], side.rates[what], strict=True)):.2f}"


def serve(ready: dict[str, Any], rounds: Rounds, wait: Callable[[], object], batch: int) -> None:
    """Serve requests in a side's process: report that it is ready, then measure what each line of stdin names.

    A line is a name and seconds, as in "loop 5.0".
    """
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        what, seconds = line.split()
        print(json.dumps(clocked(rounds[what], wait, float(seconds), batch)), flush=True)


def clocked(step: Callable[[], object], wait: Callable[[], object], seconds: float, batch: int) -> dict[str, float]:
    """Make steps for `seconds` and return their rate; `wait` returns when all steps begun are done."""
    for _ in range(WARM_STEPS):
        step()
    wait()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        step()
        count += 1
    wait()
    return {"images": count * batch, "seconds": time.perf_counter() - start}


def quickest(steps: Rounds, batch: int) -> str:
    """The name of the fastest step; each is tried twice, in turn."""
    rates = dict.fromkeys(steps, 0.0)
    for name in (*steps, *steps):
        tried = clocked(steps[name], lambda: None, TRIAL_SECONDS, batch)
        rates[name] = max(rates[name], tried["images"] / tried["seconds"])
    return max(rates, key=rates.__getitem__)


def share_of_rate(recipe: dict[str, Any], steps: int) -> Callable[[int], float]:
    """A recipe's schedule for the peer: the learning rate at a step as a share of its peak."""
    rise = int(recipe["warmup"] * steps)

    def cosine(step: int) -> float:
        if step < rise:
            return 1 / 25 + (1 - 1 / 25) * step / rise
        return (1 + math.cos(math.pi * min(1.0, (step - rise) / (steps - rise)))) / 2

    return cosine if recipe["schedule"] == "cosine" else lambda _step: 1.0


if __name__ == "__main__":
    main()
