"""Kills `sketchpipe train` at random moments, resumes it with `--resume`, and checks the result.

    python benchmarks/kill_training.py [--kills 30] [--most 5] [--network NAME] [--epochs 8] [--seed 0] [--work DIR]

An undisturbed run on the built-in sample is the reference. Each other run is killed one to `--most` times with SIGKILL,
each time in one of three ways: at a random moment, uniform over the reference's whole run time with its start; within a
second after a SIGTERM at such a moment, which makes it save in the middle of an epoch, because service managers and
clusters stop programs like this; or within 50 ms after a checkpoint is seen being written. Then it runs to its end.
Epochs are short, so that checkpoints are saved often.

Then the last checkpoint must be bit-identical to the reference's: parameters, statistics and the optimizer's state. The
same checkpoints and no other files must be left. And every batch that any attempt trained on must have the drawings and
pixels that the reference saw at that place, with no batch left out. For that a wrapper around `Loader.epoch` records a
digest of each batch; nothing else of the program is changed. First a run with another seed and a trace with two batches
exchanged show that the comparison can fail.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from children import ROOT, SKETCHPIPE
from machine import machine, say

BATCH = 32
# The last two are TensorBoard's.
KEPT = {"run.json", "config.json", "metrics.jsonl", "checkpoints", "lock", "train", "validation"}
GRACE_SECONDS = 1.0  # the most between SIGTERM and SIGKILL
SAVE_SECONDS = 0.05  # the most between seeing a checkpoint being written and SIGKILL
WATCH = "--watch"


@dataclass
class Attempts:
    """How the processes of one run ended.

    Attributes:
        kills: for each SIGKILL, in words, what the run was doing.
        stops: the number of attempts that SIGTERM ended before SIGKILL, after saving if there was anything to save.
        failure: the error message of an attempt that ended with an error, or None.
    """

    kills: list[str] = field(default_factory=list)
    stops: int = 0
    failure: str | None = None


def main() -> None:
    if sys.argv[1:2] == [WATCH]:
        watch(Path(sys.argv[2]), sys.argv[3:])
        return
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        trials = Trials(work.resolve(), arguments.network, arguments.epochs, random.Random(arguments.seed))
        trials.prepare()
        runs: list[tuple[Attempts, list[str]]] = []
        while (killed := sum(len(attempts.kills) for attempts, _ in runs)) < arguments.kills:
            name = f"run-{len(runs)}"
            most = min(trials.dice.randint(1, arguments.most), arguments.kills - killed)
            attempts = trials.run(name, most)
            faults = [attempts.failure] if attempts.failure else trials.faults(name)
            runs.append((attempts, faults))
            told = ", ".join(attempts.kills) or "none"
            say(f"{name}: kills: {told}; {attempts.stops} stops; {'; '.join(faults) or 'the same to the bit'}")
    print(f"{machine(('jax', 'jaxlib', 'numpy'))}; {arguments.network}, {arguments.epochs} epochs of 7 steps,", end=" ")
    print(f"seed {arguments.seed}.\n")
    print(table(runs, trials.seconds))
    if any(faults for _, faults in runs):
        sys.exit("kill_training: a killed run differs from one never killed")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Kill training at random moments and check the result.")
    parser.add_argument("--kills", type=int, default=30, help="kills in total (%(default)s)")
    parser.add_argument("--most", type=int, default=5, help="the most kills of one run (%(default)s)")
    parser.add_argument("--network", default="sketchnet", help="(%(default)s)")
    parser.add_argument("--epochs", type=int, default=8, help="epochs of each run (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="chooses the moments (%(default)s)")
    parser.add_argument("--work", type=Path, help="folder for shards and runs, kept; a temporary one by default")
    arguments = parser.parse_args()
    if min(arguments.kills, arguments.most) < 1 or arguments.epochs < 2:
        parser.error("--kills and --most: expected 1 or more; --epochs: 2 or more")
    return arguments


def watch(trace: Path, command: list[str]) -> None:
    """Run a `sketchpipe` command, and append to `trace` a line for each batch it trains on: epoch, step, digest."""
    from pipeline.cli.main import main as sketchpipe
    from pipeline.loading.loader import Batch, Loader

    file = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    epoch_of = Loader.epoch

    def watched(self: Loader, epoch: int, start_step: int = 0) -> Generator[Batch, None, None]:
        with closing(epoch_of(self, epoch, start_step)) as batches:
            for batch in batches:
                digest = hashlib.sha256(batch.rows.tobytes() + batch.labels.tobytes() + batch.images.tobytes())
                os.write(file, f"{batch.epoch} {batch.step} {digest.hexdigest()}\n".encode())
                yield batch

    Loader.epoch = watched  # type: ignore[method-assign] # only in this process, which does nothing else
    sys.argv = ["sketchpipe", *command]
    sketchpipe()


@dataclass
class Trials:
    """Runs in a folder, and the reference with which they are compared."""

    work: Path
    network: str
    epochs: int
    dice: random.Random
    seconds: float = 0.0  # of the reference, from start to end

    def prepare(self) -> None:
        """Build the shards and the reference, and prove that a comparison with it can fail."""
        for command in (
            ("sample", "--to", "sketches", "--drawings-per-class", "30"),
            ("shards", "sketches", "--to", "shards"),
        ):
            subprocess.run([*SKETCHPIPE, *command], cwd=self.work, env=self._environment(), check=True)
        for name, seed in (("warm", 0), ("reference", 0), ("other", 1)):  # the first one compiles
            start = time.perf_counter()
            process = self._start(name, *self._anew(name), "--seed", str(seed))
            said = process.communicate()[1]
            if process.returncode:
                sys.exit(f"kill_training: an undisturbed run failed: {said.strip().splitlines()[-1]}")
            if name == "reference":
                self.seconds = time.perf_counter() - start
        if faults := self.faults("warm"):
            sys.exit(f"kill_training: two undisturbed runs differ, so nothing can be compared: {'; '.join(faults)}")
        swapped = self._trace("reference")
        swapped[3], swapped[4] = swapped[4], swapped[3]
        if len(self.faults("other")) < 3 or not trace_faults(swapped, self._trace("reference")):
            sys.exit("kill_training: a run with another seed equals the reference: the comparison does not work")
        say(f"an undisturbed run: {self.seconds:.1f} s; the comparison finds that another seed differs")

    def run(self, name: str, most: int) -> Attempts:
        """Train a run that is killed up to `most` times and then resumed to its end."""
        shutil.rmtree(self.work / name, ignore_errors=True)
        (self.work / f"{name}.trace").unlink(missing_ok=True)
        attempts = Attempts()
        while True:
            begun = (self.work / name / "run.json").exists()
            command = ("train", "--resume", "--run", name) if begun else self._anew(name)
            process = self._start(name, *command)
            if len(attempts.kills) < most:
                self._kill(process, self.work / name / "checkpoints")
            said = process.communicate()[1]
            if process.returncode == 0:
                return attempts
            if process.returncode == -signal.SIGKILL:
                attempts.kills.append(self._where(name))
            elif process.returncode in (128 + signal.SIGTERM, -signal.SIGTERM):  # the latter while Python starts
                attempts.stops += 1
            else:
                attempts.failure = (
                    f"exit code {process.returncode}: {(said.strip().splitlines() or ['nothing said'])[-1]}"
                )
                return attempts

    def faults(self, name: str) -> list[str]:
        """How a finished run differs from the reference, each as a phrase."""
        run, reference = self.work / name, self.work / "reference"
        found = [f"left over: {entry.name}" for entry in sorted(run.iterdir()) if entry.name not in KEPT]
        kept, expected = ({entry.name for entry in (one / "checkpoints").iterdir()} for one in (run, reference))
        if kept != expected:
            found.append(f"checkpoints {', '.join(sorted(kept))} instead of {', '.join(sorted(expected))}")
        found += arrays_faults(run / "checkpoints" / max(expected), reference / "checkpoints" / max(expected))
        scores, expected_scores = (validation_scores(one) for one in (run, reference))
        if scores != expected_scores:
            found.append("other validation scores")
        return found + trace_faults(self._trace(name), self._trace("reference"))

    def _anew(self, name: str) -> tuple[str, ...]:
        settings = ("--network", self.network, "--batch", str(BATCH), "--epochs", str(self.epochs))
        return ("train", "--shards", "shards", "--run", name, *settings)

    def _start(self, name: str, *command: str) -> subprocess.Popen[str]:
        watched = [sys.executable, __file__, WATCH, f"{name}.trace", *command]
        environment = self._environment()
        return subprocess.Popen(watched, cwd=self.work, env=environment, stderr=subprocess.PIPE, text=True)

    def _environment(self) -> dict[str, str]:
        # The compile cache is in this folder, so that kills also occur while it is written.
        return os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(self.work / "cache")}

    def _kill(self, process: subprocess.Popen[str], checkpoints: Path) -> None:
        """Kill the process in one of the three ways, unless it ends before."""
        way = self.dice.choice(("anywhere", "after SIGTERM", "in a save"))
        if way == "in a save":
            _wait(process, self.dice.uniform(0, self.seconds))
            while process.poll() is None and not any(checkpoints.glob(".*")):
                time.sleep(0.001)
            _wait(process, self.dice.uniform(0, SAVE_SECONDS))
        else:
            _wait(process, self.dice.uniform(0, self.seconds))
            if way == "after SIGTERM":
                process.send_signal(signal.SIGTERM)
                _wait(process, self.dice.uniform(0, GRACE_SECONDS))
        process.kill()  # does nothing if the process has ended

    def _where(self, name: str) -> str:
        """What the run was doing when it was killed, judged by the files it left."""
        run = self.work / name
        if not (run / "run.json").exists():
            return "starting"
        names = [entry.name for entry in (run / "checkpoints").iterdir()]
        hidden = any(entry.startswith(".") for entry in names) or any(run.glob(".*"))
        if hidden:
            return "while saving"
        if len(names) > 2:
            return "while pruning"
        return "between saves" if names else "before the first save"

    def _trace(self, name: str) -> list[str]:
        return (self.work / f"{name}.trace").read_text().splitlines()


def _wait(process: subprocess.Popen[str], seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def arrays_faults(checkpoint: Path, expected: Path) -> list[str]:
    """Which parts of a checkpoint's arrays differ in any bit from `expected`: params, batch_stats, opt_state, step."""
    from safetensors.numpy import load_file

    if not checkpoint.exists():
        return [f"no checkpoint {checkpoint.name}"]
    found, wanted = (load_file(one / "arrays.safetensors") for one in (checkpoint, expected))
    if found.keys() != wanted.keys():
        return ["other arrays"]
    other = {name.partition("/")[0] for name in wanted if found[name].tobytes() != wanted[name].tobytes()}
    return [f"other {part}" for part in sorted(other)]


def validation_scores(run: Path) -> list[tuple[int, float]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [(line["epoch"], line["validation_top1"]) for line in map(json.loads, lines)]


def trace_faults(trace: list[str], expected: list[str]) -> list[str]:
    """Where the batches of a run's attempts, one attempt after the other, differ from those of an undisturbed run.

    An attempt begins at the place of a checkpoint: at any batch up to the one after the last that was seen.
    """
    place = {line.rpartition(" ")[0]: number for number, line in enumerate(expected)}
    found: list[str] = []
    last = -1
    for line in trace:
        at = line.rpartition(" ")[0]
        number = place.get(at)
        if number is None or line != expected[number]:
            found.append(f"other drawings in epoch and step {at}")
        elif number > last + 1:
            found.append(f"batches left out before epoch and step {at}")
        last = last if number is None else number
    return found[:3] + (["batches left out at the end"] if last != len(expected) - 1 else [])


def table(runs: list[tuple[Attempts, list[str]]], seconds: float) -> str:
    """The table of all runs' results."""
    kills = [where for attempts, _ in runs for where in attempts.kills]
    rows = {
        "runs": f"{len(runs)}",
        "kills, and the most of one run": f"{len(kills)}, {max(len(attempts.kills) for attempts, _ in runs)}",
        **{f"kills {where}": f"{kills.count(where)}" for where in sorted(set(kills))},
        "attempts that SIGTERM ended in time": f"{sum(attempts.stops for attempts, _ in runs)}",
        "runs that differ in a bit, a drawing or a file": f"{sum(bool(faults) for _, faults in runs)}",
        "an undisturbed run": f"{seconds:.1f} s",
    }
    return "\n".join(["| what | result |", "|---|---|", *(f"| {what} | {result} |" for what, result in rows.items())])


if __name__ == "__main__":
    main()
