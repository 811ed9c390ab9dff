"""Time that goes back, and folders of a hundred thousand files."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from children import ROOT
from faults_disk import runs as tree_of_runs
from faults_trials import Row, command, replaced, visible
from faults_world import NETWORK, World, ndjson

DAY = 86_400.0
TIMES = (0, 1, -1_000_000, 4_102_444_800, 32_503_680_000)  # of files: 1970, before it, 2100, 3000
FILES = 100_000
PEAK_BYTES = 1_000_000_000
LINEAR = 2.5  # five times the files may take so many times five times as long: caches are full, folders are deeper
_NEGATIVE = re.compile(r"(?<![\w.,:-])-\d[\d.]* ?(s|ms|min|h|%|images|drawings)\b")


def pieces(world: World) -> dict[str, Callable[[], Iterator[Row]]]:
    """Each piece by name."""
    return {
        "clock: goes back during a command": lambda: clock(world),
        "clock: times of sources": lambda: times(world),
        "many: source files": lambda: sources(world),
        "many: entries of folders": lambda: entries(world),
    }


def clock(world: World) -> Iterator[Row]:
    """The wall clock is put forward or back while a command runs, which ends as it would have."""
    row, started = Row("clock: goes back during a command"), time.monotonic()
    if world.shim.missing:
        row.skipped = world.shim.missing
        yield row
        return
    world.warm()
    with ExitStack() as stack:
        few = ("--shards", "shards/few", *NETWORK, "--run", "runs/002")
        words = {"cat": "\n".join(ndjson("cat", 2000, 1)).encode() + b"\n"}
        address = stack.enter_context(world.bucket(words))
        tasks = {
            "shards": (world.built, ("shards", str(world.sources), "--to", "set", "--num-shards", "3"), 40),
            "pictures": (world.built, ("render", "pictures", "set", "--to", "png", "--drawings-per-class", "9"), 20),
            "download": (world.made("late"), ("download", "cat", "--to", "got", "--source", address), 20),
            "train": (world.trained, ("train", *few, "--epochs", "2"), 10),
        }
        for name, (start, arguments, most) in tasks.items():
            tree = tree_of_runs if name == "train" else visible
            state = replaced(world.state, start)
            assert command(arguments, state).code == 0
            right = tree(state)
            for _ in range(world.count(most)):
                replaced(state, start)
                shifts = [world.dice.choice((-400 * DAY, -DAY, -3600.0, -2.0, DAY)) for _ in range(2)]
                fault = None
                for shift in shifts:  # the second time there is nothing to do
                    reads = world.dice.randrange(40)
                    ended = command(arguments, state, before=partial(world.shim.shift_clock, shift, reads))
                    if foul := ended.foul(0):
                        fault = foul
                    elif negative := _NEGATIVE.search(ended.said):
                        fault = f"it says {negative[0]!r}"
                    elif tree(state) != right:
                        fault = "it makes other files"
                row.add(name, "as it would have", f"{name}, clock off by {shifts}: {fault}" if fault else None)
    row.seconds = time.monotonic() - started
    yield row


def times(world: World) -> Iterator[Row]:
    """Sources and sets whose times are in the past, in the future or before 1970."""
    row, started = Row("clock: times of sources"), time.monotonic()
    world.warm()
    start = world.made("timed")
    replaced(start / "in", world.sources)
    arguments = ("shards", "in", "--to", "set")
    state = replaced(world.state, start)
    assert command(arguments, state).code == 0
    right = visible(state)
    for when in TIMES:
        replaced(state, start)
        for path in (state / "in").iterdir():
            os.utime(path, (when, when))
        fault = None
        for said in ("", "nothing to do"):
            ended = command(arguments, state)
            fault = fault or ended.foul(0) or (None if visible(state) == right else "other shards")
            if not fault and said not in ended.said:
                fault = f"not {said!r}: {ended.said!r}"
            for path in (state / "set").rglob("*"):
                os.utime(path, (when, when))
        row.add("a time", "as it would have", f"times of {when}: {fault}" if fault else None)
    row.seconds = time.monotonic() - started
    yield row


def sources(world: World) -> Iterator[Row]:
    """Builds of very many files, of a fifth as many too, so that what is quadratic shows."""
    row, started = Row("many: source files"), time.monotonic()
    most = FILES // 50 if world.is_sample else FILES
    line = json.loads(next(ndjson("cat", 1, 0)))
    folder = world.made("many-files")
    measured = {}
    for count in (most // 5, most):
        inside = folder / f"in-{count}"
        inside.mkdir()
        for number in range(count):
            line |= {"word": f"word {number % 50}", "key_id": str(number << 21)}
            (inside / f"{number:06}.ndjson").write_text(json.dumps(line) + "\n")
        for told, arguments in {
            "shards": ("shards", inside.name, "--to", f"set-{count}"),
            "nothing to do": ("shards", inside.name, "--to", f"set-{count}"),
            "--dry-run": ("shards", inside.name, "--to", "dry", "--dry-run"),
            "inspect": ("inspect", f"set-{count}"),
            "verify": ("verify", f"set-{count}"),
        }.items():
            measured[told, count] = _measured(row, told, count, arguments, folder, measured.get((told, most // 5)))
    row.note = f"{most:,} files: " + ", ".join(
        f"{told} {seconds:.1f} s of CPU time and {peak / 1e6:.0f} MB"
        for (told, count), (seconds, peak) in measured.items()
        if count == most
    )
    row.seconds = time.monotonic() - started
    yield row


def entries(world: World) -> Iterator[Row]:
    """Folders of very many entries in the place of each folder that a command looks into."""
    row, started = Row("many: entries of folders"), time.monotonic()
    most = FILES // 50 if world.is_sample else FILES
    folder = world.made("many-entries")
    for name in ("runs", "to", "pictures"):
        (folder / name).mkdir()
        for number in range(most):
            entry = folder / name / f"{number:06}-sketchnet"
            entry.mkdir() if name == "runs" else entry.touch()
    for told, arguments, codes in (
        ("runs", ("runs",), (0, 3)),
        ("predict", ("predict", "--random"), (0,)),  # by the network that comes with sketchpipe
        ("shards", ("shards", str(world.sources), "--to", "to"), (6,)),
        ("render pictures", ("render", "pictures", "to", "--to", "pictures"), (3, 6)),
        ("download", ("download", "cat", "--to", "to", "--source", "http://127.0.0.1:9/"), (3, 6)),
        ("shards of empty files", ("shards", "to", "--to", "made"), (3,)),
    ):
        _measured(row, told, most, arguments, folder, None, codes)
    row.seconds = time.monotonic() - started
    yield row


def _measured(
    row: Row,
    told: str,
    count: int,
    arguments: tuple[str, ...],
    cwd: Path,
    fifth: tuple[float, int] | None,
    codes: tuple[int, ...] = (0,),
) -> tuple[float, int]:
    """Run a command by a small process of its own, which knows its peak of memory; seconds of CPU time, and bytes."""
    program = (
        "import resource, subprocess, sys; ended = subprocess.run(sys.argv[1:]); "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss); sys.exit(ended.returncode)"
    )
    called = [sys.executable, "-c", program, sys.executable, "-c", "from pipeline.cli.main import main; main()"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    variables.pop("LD_PRELOAD", None)
    ran = subprocess.run([*called, *arguments], cwd=cwd, env=variables, capture_output=True, text=True, check=False)
    used = ran.stdout.splitlines()[-1].split()
    seconds, peak = float(used[0]), int(used[1]) * 1024
    fault = None
    if ran.returncode not in codes or "Traceback" in ran.stderr:
        fault = f"exit code {ran.returncode}: {ran.stderr[-300:]!r}"
    elif peak > PEAK_BYTES:
        fault = f"{peak / 1e6:.0f} MB of memory"
    elif fifth is not None and seconds > 5 and seconds > 5 * LINEAR * fifth[0]:
        fault = f"{seconds:.1f} s, and {fifth[0]:.1f} s for a fifth of them"
    row.add(told, f"exit {ran.returncode}", f"{told}, {count:,} files: {fault}" if fault else None)
    return seconds, peak
