"""Chooses the run that a command trains: an existing one with the same configuration and shards, or a new one."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from model.config import TrainConfig
from model.networks import make_config
from model.runs.card import CARD, Added, RunCard
from model.runs.differences import differences, listed
from model.runs.find import RUNS, find_runs, new_folder, open_runs
from model.runs.folder import Run
from model.runs.opening import is_free, open_run
from model.runs.weights import has_weights
from model.specs import DEFAULT_NETWORK
from pipeline.errors import CheckpointError, InputError, MismatchError, OutputError, UsageError
from pipeline.shards.read import ShardSplit, open_split
from pipeline.wording import counted

ADDED_LR = 0.5  # the peak of the learning rate in epochs that are added, as a share of the run's
ADDED_WARMUP = 0.05  # the share of their steps in which the rate rises
_VERSIONS = ("sketchpipe", "jax", "flax", "optax", "numpy")


@dataclass(frozen=True)
class Plan:
    """A run that does not have a folder yet.

    Attributes:
        config: its configuration.
        card: the content of its future `run.json`.
    """

    config: TrainConfig
    card: RunCard


@dataclass(frozen=True)
class Choice:
    """A run to train.

    Attributes:
        run: the run.
        shards: the folder of shards to train it on.
        is_new: whether its folder must still be made.
        adds_epochs: whether its last added epochs must still be recorded.
        replaces: the epochs added before that these replace, because no step of them was done; None if there are none.
    """

    run: Run
    shards: Path
    is_new: bool
    adds_epochs: bool = False
    replaces: Added | None = None


def plan_run(split: ShardSplit, settings: Mapping[str, Any]) -> Plan:
    """Plan a run with these settings on a training split; the recipe gives the settings that are left out.

    Raises:
        UsageError: a setting is unknown or out of range, or the batch is larger than the split.
    """
    manifest = split.manifest
    named = {"network": DEFAULT_NETWORK, **settings}
    config = make_config(named.pop("network"), manifest.classes, drawings=len(split), **named)
    if config.batch > len(split):
        split_text = f"the training split ({counted(len(split), 'drawing')})"
        if "batch" in settings:
            raise UsageError(f"batch {config.batch}: larger than {split_text}")
        raise UsageError(
            f"{split.folder}: {split_text} is smaller than the batch chosen for it, {config.batch}, the smallest "
            f"without --batch; build shards with more drawings, or use --batch {len(split)}"
        )
    card = RunCard(
        str(split.folder),
        str(split.folder.resolve()),
        manifest.checksum,
        manifest.synthetic,
        {name: version(name) for name in _VERSIONS},
        splits=manifest.options["splits"],
    )
    return Plan(config, card)


def choose_run(
    shards: Path | None, folder: Path | None, settings: Mapping[str, Any], *, only_begun: bool = False
) -> Choice:
    """The run to train: the one in `folder`, or an unfinished one with these settings and shards, or a new one.

    Of several unfinished runs, it is the one with the highest number.

    Args:
        shards: folder of shards; None resumes a run on its own shards, or adds epochs to a finished one.
        folder: of the run; None for one in `runs/`.
        settings: fields of the configuration, and `recipe`, the network whose recipe a new run uses.
        only_begun: whether only a run that exists may be returned.

    Raises:
        MismatchError: the run in `folder` has other settings or shards, or its shards have changed.
        InputError: only a run that exists may be returned, and there is none.
        UsageError: the run in `folder` has done as many epochs as the settings ask for, or more.
        OutputError: `folder` exists but is not a run.
        SketchpipeError: the settings or the shards cannot be used, or the run is damaged.
    """
    if shards is None or (only_begun and folder is not None):
        return _choose_begun(folder, settings, shards)
    plan = plan_run(open_split(shards, "train"), settings)
    if folder is not None and ((folder / CARD).exists() or has_weights(folder)):
        run = open_run(folder)
        run.refuse_weights()
        _refuse_other(run, differences(run, plan.config, plan.card), {*settings, "shards", "classes"}, _remedy(run))
        return Choice(run, shards, is_new=False)
    if folder is None and (unfinished := unfinished_run(plan)) is not None:
        return Choice(unfinished, shards, is_new=False)
    if only_begun:
        raise InputError(f"{folder or 'runs/'}: no unfinished run of this configuration to resume")
    if folder is not None and not is_free(folder):
        raise OutputError(f"{folder}: exists but is not a run; choose another --run")
    return _new_run(plan, shards, folder)


def choose_planned(plan: Plan, shards: Path) -> Choice:
    """The run in `runs/` with the settings and shards of `plan`, finished or not, or a new one."""
    run = found_run(plan, list(open_runs(find_runs(), [])))
    return _new_run(plan, shards) if run is None else Choice(run, shards, is_new=False)


def found_run(plan: Plan, runs: Sequence[Run]) -> Run | None:
    """The run with the settings and shards of `plan`, if there is one.

    Of several, a finished run comes first, then one that diverged, and of equal ones the one with the highest
    number.
    """
    same = [run for run in reversed(runs) if run.about is None and not differences(run, plan.config, plan.card)]
    # Of equal ones max returns the first, which has the highest number.
    return max(same, key=lambda run: (run.card.finished, run.card.diverged is not None), default=None)


def unfinished_run(plan: Plan, runs: Path = RUNS) -> Run | None:
    """The unfinished run with these settings and shards that has the highest number; damaged runs are skipped."""
    readable = open_runs(reversed(find_runs(runs, numbered=True)), [])
    same = (run for run in readable if not differences(run, plan.config, plan.card))
    return next((run for run in same if not run.card.finished), None)


def newest_unfinished(runs: Path = RUNS) -> Run | None:
    """The unfinished run with the highest number; runs of another format and runs that diverged are skipped.

    A run with a checkpoint is preferred: a run without one may have stopped because its batch did not fit into memory.

    Raises:
        CheckpointError: the files of a run with a higher number are damaged.
    """
    begun = None
    for run in open_runs(reversed(find_runs(runs, numbered=True))):
        if not run.is_done:
            if run.last_checkpoint() is not None:
                return run
            begun = begun or run
    return begun


def _choose_begun(folder: Path | None, settings: Mapping[str, Any], shards: Path | None) -> Choice:
    """The run in `folder`, or the unfinished one with the highest number, on its own shards or the same elsewhere."""
    if "recipe" in settings:
        raise UsageError("--recipe is for a new run; --resume keeps the recipe of the run")
    run = newest_unfinished() if folder is None else open_run(folder)
    if run is None:
        raise InputError(
            "runs/: no unfinished run to resume; start one with `sketchpipe train --shards DIR`, or add epochs to a "
            "finished one with --run DIR --epochs TOTAL"
        )
    run.refuse_weights()
    replaces = None
    stored = {**asdict(run.config), "epochs": run.epochs, "lr": run.lr}
    if "epochs" in settings and any(stored[name] != settings[name] for name in ("epochs", "lr") if name in settings):
        before = run.without_unbegun()  # so that a total can be corrected before the first step
        replaces = None if before is run else run.card.added[-1]
        run = before
    adds_epochs = run.card.finished and "epochs" in settings
    differ = {
        name: f"{name} {stored[name]} in the run, {wanted} here"
        for name, wanted in settings.items()
        if wanted != stored[name] and not (adds_epochs and name in ("epochs", "lr"))
    }
    _refuse_other(run, differ, settings, _remedy(run))
    if adds_epochs:
        run = _with_added(run, settings["epochs"], settings.get("lr", ADDED_LR * run.config.lr))
    shards = shards or run.shards_folder()
    if open_split(shards, "train").manifest.checksum != run.card.shards_checksum:
        raise MismatchError(f"{shards}: not the shards that {run.folder} was trained on; it cannot be resumed on them")
    return Choice(run, shards, is_new=False, adds_epochs=adds_epochs, replaces=replaces)


def _with_added(run: Run, epochs: int, lr: float) -> Run:
    """A finished run with more epochs, up to `epochs` in all; nothing is written."""
    if epochs <= run.epochs:
        raise UsageError(
            f"{run.folder}: {counted(run.epochs, 'epoch')} done, and --epochs is the total with these; "
            f"expected --epochs above {run.epochs}, found {epochs}"
        )
    if run.last_checkpoint() is None:
        raise CheckpointError(f"{run.folder}: it has no checkpoint left to train further from; train a new run")
    replace(run.config, epochs=epochs, lr=lr)  # which checks both
    added = Added(epochs=epochs, lr=lr, warmup=ADDED_WARMUP)
    return replace(run, card=replace(run.card, finished=False, added=(*run.card.added, added)))


def _remedy(run: Run) -> str:
    """What to do where a run has other settings than those that were asked for."""
    if run.card.finished:
        return f"choose another --run, or {further(run)}"
    return (
        f"choose another --run, or resume this one with `sketchpipe train --resume --run "
        f"{shlex.quote(str(run.folder))}`; after its {counted(run.epochs, 'epoch')}, --epochs adds more"
    )


def further(run: Run) -> str:
    """The two ways to train a finished run further, in words."""
    folder = shlex.quote(str(run.folder))
    command = f"sketchpipe train --resume --run {folder} --epochs {2 * run.epochs}"
    return f"train it for more epochs with `{command}`, or start a new run from its weights with --start {folder}"


def _new_run(plan: Plan, shards: Path, folder: Path | None = None) -> Choice:
    return Choice(Run(folder or new_folder(plan.config.network), plan.config, plan.card), shards, is_new=True)


def _refuse_other(run: Run, differ: Mapping[str, str], given: Collection[str], remedy: str) -> None:
    if differ:
        raise MismatchError(f"{run.folder}: a run of another configuration ({listed(differ, given)}); {remedy}")
