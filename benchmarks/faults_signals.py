"""SIGINT and SIGTERM at random moments of a command, one to three in a row.

Every command ends with one line and exit code 130 or 143, or, if its work was done, with 0; the next one succeeds. The
exception are the first milliseconds, in which Python itself starts and `sketchpipe` has not run a line yet: they are
counted apart. Half of the moments are drawn evenly from the time of an undisturbed command, the others from its first
seconds, in which libraries are loaded.
"""

import os
import re
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from children import ROOT, SKETCHPIPE
from faults_disk import Tree, runs
from faults_trials import Ended, Row, cold, replaced, visible
from faults_world import NETWORK, World, ndjson

START_SECONDS = 3.0  # in which libraries are loaded; the share of the moments in it is a half
GAP_SECONDS = 0.3  # the most between two signals
_OURS = re.compile('pipeline/cli/app|model/|/main.py", line [0-9]+, in main')  # frames after signals were taken over
_NUMBERS = (signal.SIGINT, signal.SIGTERM)


def pieces(world: World) -> dict[str, Callable[[], Iterator[Row]]]:
    """Each piece by name."""
    few = ("--shards", "shards/few", *NETWORK, "--epochs", "2")
    commands: dict[str, Callable[[ExitStack], tuple[Path, tuple[str, ...]]]] = {
        "shards": lambda _: (_many(world), ("shards", "in", "--to", "set", "--num-shards", "3")),
        "predict": lambda _: (world.trained, ("predict", "sketches/few/cat.ndjson", "--run", "runs/001")),
        "train": lambda _: (world.trained, ("train", *few, "--run", "runs/002")),
        "sweep": lambda _: (world.trained, ("sweep", *few, "--lr", "0.01,0.001", "--curves", ".curves.png")),
        "download": lambda stack: (world.made("to-download"), _download(world, stack)),
    }
    return {
        f"signals: {name}": lambda name=name, make=make: signalled(world, name, make) for name, make in commands.items()
    }


def _many(world: World) -> Path:
    """More drawings, so that a build takes a second."""
    folder = world.made("many")
    (folder / "in").mkdir()
    for path in world.sources.iterdir():
        (folder / "in" / path.name).write_text("\n".join(ndjson(path.stem, 20_000, 3)) + "\n")
    return folder


def _download(world: World, stack: ExitStack) -> tuple[str, ...]:
    words = {word: "\n".join(ndjson(word, 20_000, 7)).encode() + b"\n" for word in ("cat", "dog")}
    return ("download", *words, "--to", "got", "--source", stack.enter_context(world.bucket(words)))


def signalled(world: World, name: str, make: Callable[[ExitStack], tuple[Path, tuple[str, ...]]]) -> Iterator[Row]:
    """The row of a command."""
    row, started = Row(f"signals: {name}"), time.monotonic()
    tree: Callable[[Path], Tree] = runs if name in ("train", "sweep") else visible
    latencies = []
    with ExitStack() as stack:
        start, arguments = make(stack)
        for _ in range(2):  # the first compiles
            state = replaced(world.state, start)
            undisturbed = cold(arguments, state)
            assert undisturbed.code == 0, undisturbed
        new = tree(state)
        for number in range(world.count(40)):
            replaced(state, start)
            most = undisturbed.seconds if number % 2 else min(undisturbed.seconds, START_SECONDS)
            moment = world.dice.uniform(0, most)
            sent = [world.dice.choice(_NUMBERS) for _ in range(world.dice.randint(1, 3))]
            gaps = [world.dice.uniform(0, GAP_SECONDS) for _ in sent[1:]]
            ended, latency = _interrupted(arguments, state, moment, sent, gaps)
            outcome, fault = _outcome(ended, sent)
            latencies.append(latency)
            again = cold(arguments, state)
            if fault is None and (foul := again.foul(0)):
                fault = f"the next run: {foul}"
            if fault is None and tree(state) != new:
                fault = "the next run ends with other files"
            names = " ".join(one.name for one in sent)
            row.add(f"{len(sent)} in a row", outcome, f"{names} after {moment:.3f} s: {fault}" if fault else None)
    row.note = f"{statistics.median(latencies):.2f} s to the end, at most {max(latencies):.2f} s"
    row.seconds = time.monotonic() - started
    yield row


def _interrupted(
    arguments: tuple[str, ...], cwd: Path, moment: float, sent: list[signal.Signals], gaps: list[float]
) -> tuple[Ended, float]:
    """Start a command, send it signals; how it ended, and the seconds from the first signal."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("LD_PRELOAD", None)
    with subprocess.Popen(
        [*SKETCHPIPE, *arguments], cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        time.sleep(moment)
        first = time.monotonic()
        for number, gap in zip(sent, [*gaps, 0.0], strict=True):
            process.send_signal(number)  # does nothing if it has ended
            time.sleep(gap)
        try:
            said = process.communicate(timeout=60)[1].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            process.kill()
            said = process.communicate()[1].decode("utf-8", "replace")
            return Ended("hang", "", said), 60.0
        return Ended(process.returncode, "", said), time.monotonic() - first


def _outcome(ended: Ended, sent: list[signal.Signals]) -> tuple[str, str | None]:
    """What the table counts, and the fault."""
    python = ended.code in [-number for number in sent] or "KeyboardInterrupt" in ended.said
    if python and "sketchpipe: " not in ended.said and not _OURS.search(ended.said):
        return "in Python's own start", None
    if ended.code == 0 and "sketchpipe: " in ended.said:
        return "", f"exit code 0 and a line: {ended.said[-200:]!r}"
    return f"exit {ended.code}", ended.foul(0, *(128 + number for number in sent))


signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job would pass on that it is ignored
