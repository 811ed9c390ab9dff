"""Which run a command trains: one found again by its configuration and shards, or a new one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from model.config import TrainConfig
from model.networks import DEFAULT_NETWORK, make_config
from model.runs.card import RunCard
from model.runs.find import new_folder, newest_unfinished, unfinished_run
from model.runs.folder import Run, differences, is_free, open_run
from model.runs.overview import find_runs
from pipeline.errors import InputError, MismatchError, OutputError, SketchpipeError, UsageError
from pipeline.shards.read import ShardSplit, open_split

_VERSIONS = ("sketchpipe", "jax", "flax", "optax", "numpy")


@dataclass(frozen=True)
class Plan:
    """What a run is to be, before it has a folder.

    Attributes:
        config: its configuration.
        card: what its `run.json` will say.
    """

    config: TrainConfig
    card: RunCard


@dataclass(frozen=True)
class Choice:
    """A run to train.

    Attributes:
        run: the run.
        shards: the folder of shards to train it on.
        is_new: whether its folder is still to be made.
    """

    run: Run
    shards: Path
    is_new: bool


def plan_run(split: ShardSplit, settings: Mapping[str, Any]) -> Plan:
    """The run of these settings on a training split; what they leave out is the recipe's.

    Raises:
        UsageError: a setting is unknown or out of range, or the batch is larger than the split.
    """
    manifest = split.manifest
    named = {"network": DEFAULT_NETWORK, **settings}
    config = make_config(named.pop("network"), manifest.classes, drawings=len(split), **named)
    if config.batch > len(split):
        raise UsageError(f"batch {config.batch}: larger than the training split ({len(split)} drawings)")
    card = RunCard(
        str(split.folder),
        str(split.folder.resolve()),
        manifest.checksum,
        manifest.synthetic,
        {name: version(name) for name in _VERSIONS},
        splits=manifest.options["splits"],
    )
    return Plan(config, card)


def choose_run(shards: Path, folder: Path | None, settings: Mapping[str, Any], *, only_begun: bool) -> Choice:
    """The run of these settings on these shards: in `folder`, else the newest unfinished one, else a new one.

    Args:
        shards: folder of shards.
        folder: of the run; None for one in `runs/`.
        settings: fields of the configuration.
        only_begun: whether to refuse a new one.

    Raises:
        MismatchError: the run in `folder` is another.
        InputError: there is none, and a new one is refused.
        OutputError: `folder` holds something else.
        SketchpipeError: the settings or the shards cannot be used.
    """
    plan = plan_run(open_split(shards, "train"), settings)
    if folder is not None and (folder / "run.json").exists():
        run = open_run(folder)
        _refuse_other(run, differences(run, plan.config, plan.card), "; choose another --run")
        return Choice(run, shards, is_new=False)
    if folder is None and (unfinished := unfinished_run(plan.config, plan.card)) is not None:
        return Choice(unfinished, shards, is_new=False)
    if only_begun:
        raise InputError(f"{folder or 'runs/'}: no unfinished run of this configuration to go on with")
    if folder is not None and not is_free(folder):
        raise OutputError(f"{folder}: is there and is no run; choose another --run")
    return Choice(Run(folder or new_folder(plan.config.network), plan.config, plan.card), shards, is_new=True)


def choose_begun(folder: Path | None, settings: Mapping[str, Any]) -> Choice:
    """The run in `folder`, else the newest unfinished one, on its own shards.

    Raises:
        InputError: there is none.
        MismatchError: it has other settings than these, or its shards are others now.
        SketchpipeError: it or its shards are damaged.
    """
    run = newest_unfinished() if folder is None else open_run(folder)
    if run is None:
        raise InputError("runs/: no unfinished run to go on with; start one with `sketchpipe train --shards DIR`")
    differ = [
        f"{name} {stored} in the run, {wanted} here"
        for name, wanted in settings.items()
        if wanted != (stored := getattr(run.config, name))
    ]
    _refuse_other(run, differ)
    shards = run.shards_folder()
    if open_split(shards, "train").manifest.checksum != run.card.shards_checksum:
        raise MismatchError(f"{shards}: not the shards that {run.folder} was trained on; it cannot go on with them")
    return Choice(run, shards, is_new=False)


def found_run(plan: Plan, runs: Sequence[Run]) -> Run | None:
    """Of runs that are what `plan` says, the newest that is finished, else that diverged, else the newest; or None."""
    same = [run for run in reversed(runs) if not differences(run, plan.config, plan.card)]
    # Of equals max takes the first.
    return max(same, key=lambda run: (run.card.finished, run.card.diverged is not None), default=None)


def readable_runs() -> tuple[list[Run], list[str]]:
    """The runs in `runs/`, whatever their names, the newest number last, and why the others cannot be read."""
    runs, faults = [], []
    for folder in find_runs():
        if not (folder / "run.json").exists():
            if not is_free(folder):
                faults.append(f"{folder}: run.json is missing")
            continue
        try:
            runs.append(open_run(folder))
        except MismatchError:  # of another format: another configuration by that alone
            continue
        except SketchpipeError as error:
            faults.append(str(error))
    return runs, faults


def _refuse_other(run: Run, differ: Sequence[str], remedy: str = "") -> None:
    if differ:
        raise MismatchError(f"{run.folder}: a run of another configuration ({'; '.join(differ)}){remedy}")
