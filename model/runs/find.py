"""Which runs there are in a folder of runs: the newest, those that are unfinished, and where the next one goes."""

import contextlib
from pathlib import Path

from model.config import TrainConfig
from model.runs.card import CARD, RunCard
from model.runs.folder import UNTRAINED, Run, differences, is_free, last_checkpoint, open_run
from model.runs.overview import RUN_NAME, RUNS
from pipeline.errors import InputError, MismatchError, SketchpipeError


def list_runs(runs: Path = RUNS) -> list[Path]:
    """The run folders in `runs`, oldest first."""
    if not runs.is_dir():
        return []
    numbered = [(int(match[1]), entry) for entry in runs.iterdir() if (match := RUN_NAME.fullmatch(entry.name))]
    return [entry for _, entry in sorted(numbered) if (entry / CARD).exists()]


def newest_run(runs: Path = RUNS) -> Run:
    """The run that saved a checkpoint last; those of another format, or before their first step, are passed over.

    Raises:
        InputError: there is none.
        CheckpointError: its files are damaged.
        MismatchError: there are only runs of another format.
    """
    trained = []
    for number, folder in enumerate(list_runs(runs)):
        last = last_checkpoint(folder)
        if last is not None and last.name != UNTRAINED:
            trained.append((last.parent.stat().st_mtime_ns, number, folder))  # a checkpoint may be pruned by now
    other = None
    for _, _, folder in sorted(trained, reverse=True):
        try:
            return open_run(folder)
        except MismatchError as error:
            other = other or error
    if other is not None:
        raise other
    raise InputError(
        f"{runs}/: no trained run here; train one with `sketchpipe train --shards DIR`, or name it with --run"
    )


def unfinished_run(config: TrainConfig, card: RunCard, runs: Path = RUNS) -> Run | None:
    """The newest unfinished run of the same configuration on the same shards."""
    for folder in reversed(list_runs(runs)):
        try:
            run = open_run(folder)
        except SketchpipeError:
            continue
        if not run.card.finished and differences(run, config, card) == []:
            return run
    return None


def newest_unfinished(runs: Path = RUNS) -> Run | None:
    """The unfinished run that was begun last; those of another format, and those that diverged, are passed over.

    One that has a checkpoint comes before those that have none, which may be what was left where a batch had no room.

    Raises:
        CheckpointError: the files of one that was begun later are damaged.
    """
    begun = None
    for folder in reversed(list_runs(runs)):
        with contextlib.suppress(MismatchError):
            run = open_run(folder)
            if run.card.finished or run.card.diverged is not None:
                continue
            if run.last_checkpoint() is not None:
                return run
            begun = begun or run
    return begun


def new_folder(network: str, runs: Path = RUNS) -> Path:
    """The next free `runs/001-sketchnet`."""
    numbers = [
        int(match[1]) for entry in runs.glob("*") if (match := RUN_NAME.fullmatch(entry.name)) and not is_free(entry)
    ]
    return runs / f"{max(numbers, default=0) + 1:03d}-{network}"
