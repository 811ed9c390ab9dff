"""Sends SIGINT to `sketchpipe train`, `predict`, `shards` and `sweep` at many moments, and tabulates how they end.

    python benchmarks/interrupts.py [--moments 200] [--seed 0] [--commands train,predict,shards,sweep] [--work DIR]

Half of the moments are drawn evenly from the time of an undisturbed command, from the start of the process to its end,
the other half from its first seconds, in which libraries are loaded. Every command must end with exit code 130 and one
line on stderr that says so, or, if the signal came after its work was done, with 0. The exception are the first
milliseconds, in which Python itself starts and `sketchpipe` has not run a line yet: they are counted apart.

Each trial begins in the same state: `train` and `sweep` without runs, `shards` without shards. The first command of
each kind is not counted; it compiles. The latency is the time from the signal to the end of the process; the
last column is the moment of the longest one.
"""

import argparse
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from machine import machine, say

START_SECONDS = 3.0  # in which libraries are loaded; the share of the moments in it is a half
TRAIN = ("--shards", "shards/sample", "--network", "sketch-classifier", "--epochs", "1", "--batch", "64")
SKETCHPIPE = Path(sys.executable).with_name("sketchpipe")
COMMANDS = {
    "train": ("train", *TRAIN),
    "predict": ("predict", "--random", "--run", "kept/run"),
    "shards": ("shards", "sketches/sample", "--to", "built"),
    "sweep": ("sweep", *TRAIN, "--lr", "0.01,0.001"),
}
MADE = ("runs", "built")  # what a command makes, removed before each trial
_FOUL = re.compile("Traceback|Exception ignored|Fatal|Error:")
_OURS = re.compile('pipeline/cli/app|model/|/main.py", line [0-9]+, in main')  # frames after signals were taken over
_PYTHON = "interrupted Python's start"


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, its stderr, and the seconds from the signal to its end."""

    moment: float
    code: int
    said: str
    latency: float

    def outcome(self) -> str:
        """What the table counts it as."""
        lines = [line for line in self.said.splitlines() if line.startswith("sketchpipe: ")]
        foul = bool(_FOUL.search(self.said))
        if self.code == 130 and len(lines) == 1 and self.said.endswith(f"{lines[0]}\n") and not foul:
            return "130, one line"
        if self.code == 0 and not lines and not foul:
            return "0, all done"
        if not lines and (self.code == -2 or "KeyboardInterrupt" in self.said) and not _OURS.search(self.said):
            return _PYTHON
        return f"WRONG: {self.code}, {len(lines)} lines"


def main() -> None:
    """Run the trials and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=200, help="signals to each command (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="chooses the moments (%(default)s)")
    parser.add_argument("--commands", default=",".join(COMMANDS), help="which commands (%(default)s)")
    parser.add_argument("--work", type=Path, help="folder for shards and runs, kept; a temporary one by default")
    arguments = parser.parse_args()
    names = arguments.commands.split(",")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job would pass on that it is ignored
    if arguments.moments < 1 or not set(names) <= set(COMMANDS):
        parser.error(f"--moments: expected 1 or more; --commands: some of {','.join(COMMANDS)}")
    with tempfile.TemporaryDirectory(prefix="sketchpipe-interrupts-") as temporary:
        work = arguments.work or Path(temporary)
        prepare(work)
        dice = random.Random(arguments.seed)
        seconds = {name: undisturbed(work, name) for name in names}
        for name in names:
            say(f"{name}: {seconds[name]:.1f} s undisturbed")
        moments = {name: list(moments_of(seconds[name], arguments.moments, dice)) for name in names}
        ended: dict[str, list[Ended]] = {name: [] for name in names}
        for k in range(arguments.moments):  # in turn, so that all run under the same load of the machine
            for name in names:
                found = interrupted(work, COMMANDS[name], moments[name][k])
                ended[name].append(found)
                if found.outcome().startswith("WRONG"):
                    say(f"{name} after {found.moment:.3f} s: {found.outcome()}, {found.said!r}")
            if (k + 1) % 10 == 0:
                say(f"{k + 1} of {arguments.moments} moments")
                print("\n".join(table(ended)), file=sys.stderr, flush=True)
        print(machine(("sketchpipe", "jax", "numba")))
        print("\n".join(table(ended)))


def prepare(work: Path) -> None:
    """Make drawings, shards and a run in `work`."""
    if (work / "kept").exists():
        return
    sample = ("sample", "--to", "sketches/sample", "--drawings-per-class", "100")
    for command in (sample, ("shards", "sketches/sample"), ("train", *TRAIN, "--run", "kept/run")):
        subprocess.run([SKETCHPIPE, *command], cwd=work, check=True)


def undisturbed(work: Path, name: str) -> float:
    """The seconds that a command takes, after one that compiles."""
    start = 0.0
    for _ in range(2):
        clear(work)
        start = time.perf_counter()
        subprocess.run([SKETCHPIPE, *COMMANDS[name]], cwd=work, check=True, capture_output=True)
    return time.perf_counter() - start


def moments_of(seconds: float, count: int, dice: random.Random) -> Iterator[float]:
    """Moments, in seconds after the start: evenly over the whole time, and as many in the first seconds."""
    for k in range(count):
        yield dice.uniform(0, seconds if k % 2 else min(seconds, START_SECONDS))


def interrupted(work: Path, command: Sequence[str], moment: float) -> Ended:
    """Start a command, and send it SIGINT after `moment` seconds."""
    clear(work)
    with subprocess.Popen(
        [SKETCHPIPE, *command], cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        time.sleep(moment)
        signalled = time.perf_counter()
        process.send_signal(signal.SIGINT)
        said = process.communicate()[1]
        return Ended(moment, process.returncode, said, time.perf_counter() - signalled)


def clear(work: Path) -> None:
    """Remove what a command made."""
    for name in MADE:
        shutil.rmtree(work / name, ignore_errors=True)


def table(ended: dict[str, list[Ended]]) -> Iterator[str]:
    """A row for each command and outcome, with the latency."""
    yield "| command | outcome | trials | latency: median | 95 % | most | after |"
    yield "|---|---|---|---|---|---|---|"
    for name, trials in ended.items():
        for outcome, count in sorted(Counter(one.outcome() for one in trials).items()):
            latencies = sorted((one.latency, one.moment) for one in trials if one.outcome() == outcome)
            taken = [latency for latency, _ in latencies]
            shown = (statistics.median(taken), taken[int(0.95 * (len(taken) - 1))], *latencies[-1])
            yield f"| {name} | {outcome} | {count} | " + " | ".join(f"{one:.2f} s" for one in shown) + " |"


if __name__ == "__main__":
    main()
