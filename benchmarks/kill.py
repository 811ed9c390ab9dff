"""Kills `sketchpipe shards` at random moments until it has built its shards, and checks the result.

    python benchmarks/kill.py SOURCE [--trials 100] [--seed 0] [--megabytes 60] [--workers 2] [--work DIR]

SOURCE holds Google's simplified ndjson; pipeline.bench.replicas repeats its lines to that size. A trial starts a build
in a new folder and sends it SIGKILL at a random moment, uniform over the run time of an undisturbed build; it starts
the build again, kills it again with a probability of one half, and so on until a build ends by itself. Then every file
must be equal, byte for byte, to that of an undisturbed build, and `.build/` must contain only its lock and the list of
sources.

Repeated work is the CPU time of all attempts beyond that of an undisturbed build. Each attempt starts Python and loads
libraries again, so the figure is given twice: as it is, and without the cost of a start that finds nothing to do, which
is subtracted from each attempt (or the whole attempt, if it was killed sooner).
"""

import argparse
import filecmp
import random
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from children import SKETCHPIPE, Finished, run_child
from machine import machine, say

from pipeline.bench.replicas import GIGABYTE, replicate
from pipeline.errors import SketchpipeError

KEPT_IN_BUILD = ["lock", "sources.json"]
AGAIN = 0.5  # the probability that a build that was killed is killed once more
TRIALS_PER_UNDISTURBED = 5
# Several shards, so that kills also occur between two shards.
BUILD_OPTIONS = ("--num-shards", "8")


@dataclass
class Undisturbed:
    """Builds that were not killed, one after another into the same folder, and starts that found nothing to do.

    They run between the trials, so that both run under the same load of the machine.
    """

    folder: Path
    builds: list[Finished] = field(default_factory=list)
    starts: list[Finished] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The median time of a build."""
        return statistics.median(run.seconds for run in self.builds)

    @property
    def cpu_seconds(self) -> float:
        """The median CPU time of a build."""
        return statistics.median(run.cpu_seconds for run in self.builds)

    @property
    def start_cpu_seconds(self) -> float:
        """The median CPU time of a start."""
        return statistics.median(run.cpu_seconds for run in self.starts)


@dataclass(frozen=True)
class Trial:
    """The result of a trial: of a folder whose builds were killed.

    Attributes:
        kills: how many attempts were killed.
        kills_at_work: how many of them left unfinished work in `.build/`.
        cpu_seconds: the CPU time of each attempt, the last one included.
        mismatches: files that are missing, superfluous, or different from the undisturbed build's.
        leftovers: unexpected and missing entries of `.build/`.
        failure: the error message of an attempt that ended with an error, or None.
    """

    kills: int
    kills_at_work: int
    cpu_seconds: list[float]
    mismatches: list[str]
    leftovers: list[str]
    failure: str | None


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        source = work / f"kill-{arguments.megabytes:g}mb"
        try:
            made = replicate(arguments.source, source, round(arguments.megabytes * GIGABYTE / 1000))
        except SketchpipeError as error:
            sys.exit(f"kill: {error}")
        undisturbed = Undisturbed(work / "kill-undisturbed")
        start_build(source, undisturbed.folder, arguments.workers)  # compiles kernels, so it is not counted
        generator, trials = random.Random(arguments.seed), []
        for number in range(arguments.trials):
            if number % TRIALS_PER_UNDISTURBED == 0:
                build_undisturbed(source, undisturbed, arguments.workers)
            trials.append(run_trial(source, work / "kill-killed", undisturbed, arguments.workers, generator))
            say(f"trial {number + 1} of {arguments.trials}: {told(trials[-1], undisturbed)}")
        shutil.rmtree(undisturbed.folder)
    print(f"{machine(('sketchpipe', 'numba', 'pyarrow'))}. Input: {made.total_lines:,} lines of", end=" ")
    print(
        f"{arguments.source.name}/, {made.size / 1e6:.0f} MB, replicated with fresh key_ids; seed {arguments.seed}.\n"
    )
    print(table(trials, undisturbed, arguments.workers))
    if any(trial.mismatches or trial.leftovers or trial.failure for trial in trials):
        sys.exit("kill: a killed build gave other files than an undisturbed one")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Kill a build of shards at random moments and check the result.")
    parser.add_argument("source", type=Path, help="folder of simplified ndjson")
    parser.add_argument("--trials", type=int, default=100, help="folders to build (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="chooses the moments (%(default)s)")
    parser.add_argument("--megabytes", type=float, default=60.0, help="size of the input, 10^6 bytes (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="workers of each build (%(default)s)")
    parser.add_argument("--work", type=Path, help="folder for the input, kept, and builds; a temporary one by default")
    arguments = parser.parse_args()
    if arguments.trials < 1 or arguments.megabytes <= 0 or arguments.workers < 1:
        parser.error("--trials, --megabytes and --workers: expected more than 0")
    return arguments


def start_build(source: Path, folder: Path, workers: int, kill_after: float | None = None) -> Finished:
    """Run the real command until it ends or is killed."""
    command = [*SKETCHPIPE, "shards", str(source), "--to", str(folder), "--workers", str(workers), *BUILD_OPTIONS]
    return run_child(command, kill_after=kill_after)


def build_undisturbed(source: Path, undisturbed: Undisturbed, workers: int) -> None:
    """Build once without disturbance, and start once more on the finished folder."""
    shutil.rmtree(undisturbed.folder, ignore_errors=True)
    for kind, counted in (("undisturbed build", undisturbed.builds), ("nothing to do", undisturbed.starts)):
        run = start_build(source, undisturbed.folder, workers)
        if run.code:
            sys.exit(f"kill: an undisturbed build failed: {run.complaint}")
        counted.append(run)
        say(f"{kind}: {run.seconds:.2f} s, {run.cpu_seconds:.2f} s of CPU")


def run_trial(source: Path, folder: Path, undisturbed: Undisturbed, workers: int, generator: random.Random) -> Trial:
    """Build a folder with at least one kill, and compare it."""
    kills, at_work, failure = 0, 0, None
    cpu_seconds: list[float] = []
    shutil.rmtree(folder, ignore_errors=True)
    while True:
        is_doomed = kills == 0 or generator.random() < AGAIN
        run = start_build(source, folder, workers, generator.uniform(0, undisturbed.seconds) if is_doomed else None)
        cpu_seconds.append(run.cpu_seconds)
        if run.code and run.killed:
            kills += 1
            at_work += any(name not in KEPT_IN_BUILD for name in names_in(folder / ".build"))
        elif run.code:
            failure = run.complaint
            break
        elif kills == 0:  # the build ended before the moment of the kill: choose another moment
            shutil.rmtree(folder)
            cpu_seconds.clear()
        else:
            break
    leftovers = sorted(set(names_in(folder / ".build")) ^ set(KEPT_IN_BUILD))
    mismatches = compare(folder, undisturbed.folder)
    shutil.rmtree(folder, ignore_errors=True)
    return Trial(kills, at_work, cpu_seconds, mismatches, leftovers, failure)


def compare(folder: Path, expected: Path) -> list[str]:
    """The names of files outside `.build/` that differ or exist in one folder only."""
    names = {name for name in (*names_in(folder), *names_in(expected)) if name != ".build"}
    _, different, missing = filecmp.cmpfiles(folder, expected, sorted(names), shallow=False)
    return sorted(different + missing)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def told(trial: Trial, undisturbed: Undisturbed) -> str:
    """A trial in one line."""
    faults = [f"differ: {', '.join(trial.mismatches)}"] if trial.mismatches else []
    faults += [f"in .build/: {', '.join(trial.leftovers)}"] if trial.leftovers else []
    faults += [f"failed: {trial.failure}"] if trial.failure else []
    times = f"{trial.kills} kills, {repeated(trial, undisturbed):+.0%} work"
    attempts = " + ".join(f"{seconds:.2f}" for seconds in trial.cpu_seconds)
    return f"{times} ({attempts} s of CPU), {'; '.join(faults) or 'the same bytes'}"


def repeated(trial: Trial, undisturbed: Undisturbed, start: float = 0.0) -> float:
    """CPU time beyond that of an undisturbed build, as a share of it, without each attempt's first `start` seconds."""
    worked = sum(max(0.0, seconds - start) for seconds in trial.cpu_seconds)
    return worked / (undisturbed.cpu_seconds - start) - 1


def table(trials: list[Trial], undisturbed: Undisturbed, workers: int) -> str:
    """The table of all trials' results."""
    kills = sum(trial.kills for trial in trials)
    shares = [repeated(trial, undisturbed) for trial in trials]
    start = undisturbed.start_cpu_seconds
    apart = [repeated(trial, undisturbed, start) for trial in trials]
    build = f"{undisturbed.seconds:.2f} s, {undisturbed.cpu_seconds:.2f} s of CPU"
    rows = {
        "trials": f"{len(trials)}",
        "kills, and the most of one trial": f"{kills}, {max(trial.kills for trial in trials)}",
        "kills with work begun in `.build/`": f"{sum(trial.kills_at_work for trial in trials)}",
        "trials with a file that differs": f"{sum(bool(trial.mismatches) for trial in trials)}",
        "trials with leftovers": f"{sum(bool(trial.leftovers) for trial in trials)}",
        "trials with an error": f"{sum(bool(trial.failure) for trial in trials)}",
        "repeated work, mean and worst of a trial": f"{statistics.mean(shares):.0%}, {max(shares):.0%}",
        "the same without starts": f"{statistics.mean(apart):.0%}, {max(apart):.0%}",
        "the same without starts, for each kill": f"{sum(apart) / kills:.0%}" if kills else "-",
        f"undisturbed build, --workers {workers}": build,
        "a start that finds nothing to do": f"{start:.2f} s of CPU",
    }
    return "\n".join(["| what | result |", "|---|---|", *(f"| {what} | {result} |" for what, result in rows.items())])


if __name__ == "__main__":
    main()
