"""Finds and opens runs without JAX: all of a folder, the newest, those that are named, and the next one's name."""

import contextlib
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from model.runs.card import CARD, CONFIG
from model.runs.folder import UNTRAINED, Run, is_free, last_checkpoint, open_run
from pipeline.errors import InputError, MismatchError, SketchpipeError

RUNS = Path("runs")
_RUN_NAME = re.compile(r"(\d{3,})-.+")


def find_runs(folder: Path = RUNS) -> list[Path]:
    """The runs in a folder, damaged ones too: those of a number by number, so the newest last, then the others."""
    if not folder.is_dir():
        return []
    found = []
    for entry in folder.iterdir():
        match = _RUN_NAME.fullmatch(entry.name)
        if entry.is_dir() and (match or is_run(entry)):
            found.append((int(match[1]) if match else math.inf, entry.name, entry))
    return [entry for *_, entry in sorted(found)]


def numbered_runs(folder: Path = RUNS) -> list[Path]:
    """Those that have a number and a `run.json`: a command that is not told which run to take takes one of these."""
    return [run for run in find_runs(folder) if _RUN_NAME.fullmatch(run.name) and (run / CARD).exists()]


def is_run(folder: Path) -> bool:
    """Whether a folder is a run, or what is left of one, or cannot be looked into."""
    try:
        return any((folder / name).exists() for name in (CARD, CONFIG))
    except PermissionError:
        return True


def named_runs(folders: Sequence[Path]) -> list[Path]:
    """The runs that folders name: each a run, or a folder of runs.

    Raises:
        InputError: one is neither.
    """
    runs: dict[Path, None] = {}
    for folder in folders:
        found = [folder] if is_run(folder) else find_runs(folder)
        if not found:
            raise InputError(f"{folder}: no run here; `sketchpipe runs` lists those in {RUNS}/")
        runs |= dict.fromkeys(found)
    return list(runs)


def opened(folders: Iterable[Path]) -> Iterator[Run]:
    """The runs in these folders, each opened when it is asked for; those of another format are passed over.

    Raises:
        CheckpointError: the files of one are damaged.
    """
    for folder in folders:
        with contextlib.suppress(MismatchError):
            yield open_run(folder)


def readable_runs(folders: Iterable[Path]) -> tuple[list[Run], list[str]]:
    """The runs in these folders that can be read, in their order, and why others cannot be.

    Those of another format, and what a process left that was killed before it was a run, are passed over.
    """
    runs: list[Run] = []
    faults = []
    for folder in folders:
        if not (folder / CARD).exists():
            if not is_free(folder):
                faults.append(f"{folder}: {CARD} is missing")
            continue
        try:
            runs += opened([folder])
        except SketchpipeError as error:
            faults.append(str(error))
    return runs, faults


def newest_run(folder: Path = RUNS) -> Run:
    """The run that saved a checkpoint last; those of another format, or before their first step, are passed over.

    Raises:
        InputError: there is none.
        CheckpointError: its files are damaged.
        MismatchError: there are only runs of another format.
    """
    trained = []
    for number, run in enumerate(numbered_runs(folder)):
        last = last_checkpoint(run)
        if last is not None and last.name != UNTRAINED:
            trained.append((last.parent.stat().st_mtime_ns, number, run))  # a checkpoint may be pruned by now
    if not trained:
        raise InputError(
            f"{folder}/: no trained run here; train one with `sketchpipe train --shards DIR`, or name it with --run"
        )
    newest_first = [run for *_, run in sorted(trained, reverse=True)]
    return next(opened(newest_first), None) or open_run(newest_first[0])  # which says what format it has


def new_folder(network: str, folder: Path = RUNS) -> Path:
    """The next free `runs/001-sketchnet`."""
    matches = [(_RUN_NAME.fullmatch(entry.name), entry) for entry in folder.glob("*")]
    numbers = [int(match[1]) for match, entry in matches if match and not is_free(entry)]
    return folder / f"{max(numbers, default=0) + 1:03d}-{network}"
