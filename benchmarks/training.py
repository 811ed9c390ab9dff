"""Images a second of the whole training loop, against the same network in PyTorch with its own loader, on the CPU.

    python benchmarks/training.py SKETCHES [--rounds 5] [--seconds 5] [--batch 128] [--network NAME ...]
                                  [--peer PYTHON] [--compile]

SKETCHES holds ndjson drawings; both sides train on the training split of the shards built of them, by the network's
recipe, without augmentation, on all cores. Both have decoded strokes in memory (a Loader keeps a small split decoded).
On the clock sketchpipe unpacks and renders them as the recipe says, framed, with an encoding, and is data-parallel over
a device for each core, as the command is (benchmarks/training_sketchpipe.py). The peer has an easier task: its strokes
are OpenCV's own fixed point, which OpenCV draws straight at 64 pixels (benchmarks/training_torch.py). It is one process
whose threads share each operation, on all cores by PyTorch's default; its settings, threads among them (one, and as
many as cores), are the quickest found at its start, and the table names them. Before that it proves that it is the same
network: as many parameters, and from the same weights the same logits and loss on a batch of real drawings.

Each side is a process of its own that computes only when told to. Rounds alternate; starting, compiling and the first
steps of a round are not counted. "Step alone" is one batch again and again. The first step compiles: nothing comes from
a cache on disk. The ratios are those within a round, of which the table has the median. The machine has to be idle:
beside one other busy process PyTorch's threads, which wait for each other spinning, lose far more than a core's share
(sketchnet on 2 cores: 900 images a CPU second on one thread, 70 to 290 on two).

`--compile` adds PyTorch with torch.compile, which needs a C++ compiler. `--peer` names the Python of an environment
that has PyTorch and OpenCV, where this one has not; `pip install -e ".[dev,bench]"` has them all.
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
LARGER = ("sketchnet-base", "sketchnet-large")  # for GPUs: only where asked for
PACKAGES = ("sketchpipe", "jax", "flax", "optax", "numba", "numpy", "pyarrow")
WARM_STEPS = 3  # of a round, before the clock
TRIAL_SECONDS = 0.8  # of what is tried to find the quickest
PAUSE_SECONDS = 0.3  # between two processes: threads that spin for work give up, loaders fill what they hold ahead

Rounds = dict[str, Callable[[], object]]  # what a side can be told to do, each a step at a call


def main() -> None:
    parser = argparse.ArgumentParser(description="The whole training loop against the same network in PyTorch.")
    parser.add_argument("sketches", type=Path, help="folder of ndjson drawings")
    parser.add_argument("--rounds", type=positive, default=5, help="of which the tables have the median (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="on the clock each time (%(default)s)")
    parser.add_argument("--batch", type=positive, default=128, help="drawings a step (%(default)s)")
    parser.add_argument("--network", nargs="+", choices=NETWORKS + LARGER, default=NETWORKS)
    parser.add_argument("--peer", default=sys.executable, help="a Python that has PyTorch; this one by default")
    parser.add_argument("--compile", action="store_true", help="PyTorch with torch.compile as well")
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
    """An option's number, 1 or more."""
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
    """A process that trains when it is told to.

    Attributes:
        title: what it is.
        child: reads what to do from stdin and answers on stdout, a line of JSON each.
        ready: what it said of itself when it was ready.
        rates: images a second, round by round, of each thing that it does.
    """

    title: str
    child: subprocess.Popen[str]
    ready: dict[str, Any]
    rates: dict[str, list[float]] = field(default_factory=dict)

    def run(self, what: str, seconds: float) -> None:
        """Let it do something for a while, and note its rate."""
        assert self.child.stdin is not None
        print(what, seconds, file=self.child.stdin, flush=True)
        found = answer(self.child, self.title)
        self.rates.setdefault(what, []).append(found["images"] / found["seconds"])
        time.sleep(PAUSE_SECONDS)


def measure(name: str, work: Path, arguments: argparse.Namespace) -> list[Side]:
    """Measure a network: sketchpipe's side first, then those peers that are installed."""
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
    """A side, ready; it ends with the block."""
    program = [str(part) for part in command]
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        cache = stack.enter_context(tempfile.TemporaryDirectory())  # empty: the first step is to compile
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
    """The next line that a child says; where there is none, it has told on stderr why."""
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    sys.exit(f"training: {title} ended with exit code {child.wait()}")


def table(name: str, sides: list[Side]) -> str:
    """A network's table: best and median rates, and how many times a peer's images sketchpipe trains on."""
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
        lines += ["", f"The same weights give the same logits to {off:.1g} of the largest."]
    return "\n".join(lines)


def figures(side: Side, what: str) -> str:
    rates = side.rates[what]
    return f"{max(rates):,.0f} | {statistics.median(rates):,.0f}"


def times(ours: Side, side: Side, what: str) -> str:
    """The median over rounds of our rate over theirs."""
    if side is ours:
        return ""
    return f"{statistics.median(a / b for a, b in zip(ours.rates[what], side.rates[what], strict=True)):.2f}"


def serve(ready: dict[str, Any], rounds: Rounds, wait: Callable[[], object], batch: int) -> None:
    """A side's life: say that it is ready, then do what each line of stdin says, as in "loop 5.0"."""
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        what, seconds = line.split()
        print(json.dumps(clocked(rounds[what], wait, float(seconds), batch)), flush=True)


def clocked(step: Callable[[], object], wait: Callable[[], object], seconds: float, batch: int) -> dict[str, float]:
    """Step for so many seconds; `wait` returns when all that was begun is done."""
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
    """The name of the step that gets most done, each tried twice in turn."""
    rates = dict.fromkeys(steps, 0.0)
    for name in (*steps, *steps):
        tried = clocked(steps[name], lambda: None, TRIAL_SECONDS, batch)
        rates[name] = max(rates[name], tried["images"] / tried["seconds"])
    return max(rates, key=rates.__getitem__)


def share_of_rate(recipe: dict[str, Any], steps: int) -> Callable[[int], float]:
    """A recipe's schedule, for the peer: what share of the peak the learning rate is at a step."""
    rise = int(recipe["warmup"] * steps)

    def cosine(step: int) -> float:
        if step < rise:
            return 1 / 25 + (1 - 1 / 25) * step / rise
        return (1 + math.cos(math.pi * min(1.0, (step - rise) / (steps - rise)))) / 2

    return cosine if recipe["schedule"] == "cosine" else lambda _step: 1.0


if __name__ == "__main__":
    main()
