"""Finds and opens runs without JAX: all of a folder, those that are named, and the one that was trained last."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from model.runs.card import CARD, CONFIG
from model.runs.checkpoint import last_checkpoint
from model.runs.folder import UNTRAINED, Run
from model.runs.opening import is_free, open_run
from model.runs.weights import BUILT_IN, has_weights
from pipeline.errors import InputError, MismatchError, SketchpipeError

RUNS = Path("runs")
_RUN_NAME = re.compile(r"(\d{3,})-.+")


def find_runs(folder: Path = RUNS, *, numbered: bool = False) -> list[Path]:
    """The runs in a folder, damaged ones too: numbered runs by number, the highest last, then the others.

    Args:
        folder: a folder of runs.
        numbered: whether to leave out runs without a number or without a `run.json`; a command that is not told which
            run to use chooses among the rest.
    """
    found = []
    for entry in folder.iterdir() if folder.is_dir() else ():
        match = _RUN_NAME.fullmatch(entry.name)
        if entry.is_dir() and ((match and (entry / CARD).exists()) if numbered else (match or is_run(entry))):
            found.append((int(match[1]) if match else math.inf, entry.name, entry))
    return [entry for *_, entry in sorted(found)]


def is_run(folder: Path) -> bool:
    """Whether a folder is a run, has files of a run, or cannot be listed."""
    try:
        return any((folder / name).exists() for name in (CARD, CONFIG))
    except PermissionError:
        return True


def built_in_runs() -> list[Path]:
    """The networks that come with sketchpipe: weights without their training."""
    return sorted(entry for entry in BUILT_IN.iterdir() if has_weights(entry)) if BUILT_IN.is_dir() else []


def with_built_in(path: Path) -> Path:
    """The path of a run; if nothing is there and it is the name of a network that comes with sketchpipe, its folder.

    >>> with_built_in(Path("sketchnet-345")).parent.name
    'pretrained'
    """
    named = [entry for entry in built_in_runs() if str(path) == entry.name]
    return named[0] if named and not path.exists() else path


def named_runs(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The runs at paths, each of which is a run or a folder of runs, and the paths at which there is none.

    A shell replaces `runs/*` by all that lies in `runs/`, which may be more than runs.

    Raises:
        InputError: a path does not exist, or there is no run at any of them.
    """
    runs: dict[Path, None] = {}
    others = []
    for path in map(with_built_in, paths):
        found = [path] if is_run(path) else find_runs(path)
        if not found:
            others.append(path)
        runs |= dict.fromkeys(found)
    missing = [path for path in others if not path.exists()]
    if missing or not runs:
        raise InputError(f"{(missing or others)[0]}: no run here; `sketchpipe runs` lists those in {RUNS}/")
    return list(runs), others


def open_runs(folders: Iterable[Path], errors: list[str] | None = None) -> Iterator[Run]:
    """Open the runs in these folders one by one; runs of another format are skipped.

    Args:
        folders: the folders of the runs.
        errors: a list that gets a message for each run that cannot be read, except for folders that a process left
            before it had written a `run.json`. None raises the first error.

    Raises:
        CheckpointError: the files of a run are damaged, and `errors` is None.
    """
    for folder in folders:
        try:
            yield open_run(folder)
        except MismatchError:
            continue
        except SketchpipeError as error:
            if errors is None:
                raise
            if not is_free(folder):
                errors.append(
                    str(error) if (folder / CARD).exists() or has_weights(folder) else f"{folder}: {CARD} is missing"
                )


def newest_run(folder: Path = RUNS) -> Run:
    """Open the run that saved a checkpoint last; runs of another format or without a training step are skipped.

    Raises:
        InputError: no run in the folder has been trained.
        CheckpointError: its files are damaged.
        MismatchError: all runs are of another format.
    """
    if (run := newest_trained(folder)) is not None:
        return run
    raise InputError(
        f"{folder}/: no trained run here; train one with `sketchpipe train --shards DIR`, or name one with --run, "
        "such as sketchnet-345, which comes with sketchpipe"
    )


def newest_trained(folder: Path = RUNS) -> Run | None:
    """`newest_run`, which explains the other errors; None if no run in the folder has been trained."""
    trained = trained_runs(folder)
    return (next(open_runs(trained), None) or open_run(trained[0])) if trained else None  # which raises MismatchError


def trained_runs(folder: Path = RUNS) -> list[Path]:
    """The numbered runs in a folder that have been trained, the one that saved a checkpoint last first."""
    trained = []
    for number, run in enumerate(find_runs(folder, numbered=True)):
        last = last_checkpoint(run)
        if last is not None and last.name != UNTRAINED:
            trained.append((last.parent.stat().st_mtime_ns, number, run))  # the checkpoint may be gone by now
    return [run for *_, run in sorted(trained, reverse=True)]


def new_folder(network: str, folder: Path = RUNS) -> Path:
    """The folder of the next run, such as `runs/001-sketchnet`."""
    matches = [(_RUN_NAME.fullmatch(entry.name), entry) for entry in folder.glob("*")]
    numbers = [int(match[1]) for match, entry in matches if match and not is_free(entry)]
    return folder / f"{max(numbers, default=0) + 1:03d}-{network}"
