"""Sweeps: every combination of some settings as an ordinary run, with no state of its own."""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from model.compute.devices import devices_for
from model.compute.steps import check_batch
from model.runs.comparison import Setting
from model.runs.find import find_runs, open_runs
from model.runs.opening import open_run
from model.runs.overview import summarize
from model.scoring.evaluate import evaluate_run
from model.scoring.loaded import load_best
from model.training.choose import Choice, Plan, choose_planned, found_run, plan_run
from model.training.train import open_validation
from pipeline import first_calls
from pipeline.errors import InputError, LockedError
from pipeline.shards.read import ShardSplit, open_split
from pipeline.shards.remarks import why_empty

# The settings that can have several values; the first one changes most slowly.
SWEPT = ("network", "encoding", "framing", "epochs", "batch", "lr", "seed")


def combinations(lists: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of a value from each list, in the order of `SWEPT`, whatever the order of the lists.

    >>> combinations({"lr": [0.1, 0.2], "batch": [8]})
    [{'batch': 8, 'lr': 0.1}, {'batch': 8, 'lr': 0.2}]
    """
    names = [name for name in SWEPT if name in lists]
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*(lists[name] for name in names))]


def plan_sweep(
    split: ShardSplit, lists: Mapping[str, Sequence[Any]], settings: Mapping[str, Any], devices: Sequence[jax.Device]
) -> list[Plan]:
    """The runs of a sweep, each configuration once; all are checked here, before any of them is trained.

    Args:
        split: the training split.
        lists: the values of the settings that are swept.
        settings: the settings that all runs share.
        devices: the devices to compute on.

    Raises:
        UsageError: a value is unknown or out of range, or a batch is larger than the split or no multiple of the number
            of devices.
    """
    plans: list[Plan] = []
    for combination in combinations(lists):
        plan = plan_run(split, {**settings, **combination})
        check_batch(plan.config.batch, devices_for(plan.config.batch, devices))
        if all(plan.config != other.config for other in plans):
            plans.append(plan)
    return plans


def open_swept(shards: Path, *, test: bool) -> ShardSplit:
    """Open the training split of shards, and check that the other splits that a sweep needs have drawings.

    Args:
        shards: folder of shards.
        test: whether the test split is needed, to score the best setting.

    Raises:
        InputError: a split that is needed has no drawings.
        SketchpipeError: the shards are missing or damaged.
    """
    split = open_split(shards, "train")
    if open_validation(split) is None:
        raise InputError(
            f"{shards}: its validation split, by which runs are compared, has no drawings: "
            f"{why_empty(split.manifest, 'validation')}"
        )
    if test:
        open_split(shards, "test")
    return split


@dataclass
class Sweep:
    """The runs of a sweep and their progress.

    Attributes:
        plans: the planned runs.
        shards: folder of the shards that they are trained on.
        folders: the folders of the runs that are done or were tried, by their place in `plans`.
        held: the folders of runs that other processes train or have just made, by their place in `plans`.
        left: for each plan the epochs that its run still needs; 0 once it was tried.
        done: the number of runs that were done before this sweep.
        begun: the number of runs that were begun but not done before this sweep.
        errors: why runs in `runs/` cannot be read.
    """

    plans: Sequence[Plan]
    shards: Path

    def __post_init__(self) -> None:
        self.errors: list[str] = []
        readable = list(open_runs(find_runs(), self.errors))
        found = [found_run(plan, readable) for plan in self.plans]
        is_done = [run is not None and run.is_done for run in found]
        self.done, self.begun = sum(is_done), sum(run is not None for run in found) - sum(is_done)
        self.left = [0 if one else plan.config.epochs for plan, one in zip(self.plans, is_done, strict=True)]
        self.folders: dict[int, Path] = {}
        self.held: dict[int, Path] = {}
        self._epochs, self._seconds = 0, 0.0

    @property
    def seconds_left(self) -> float | None:
        """The time for the runs that were not tried yet, at the speed so far; None if that is not known."""
        return self._seconds / self._epochs * sum(self.left) if self._epochs else None

    def train(self, train: Callable[[int, Choice], None], tried: Callable[[Path, bool, bool], None]) -> None:
        """Train the runs that are not done; a run that another process is training is tried once more at the end.

        Args:
            train: trains the run of a plan, given by its place in `plans`.
            tried: called after each run that was tried with its folder, whether another process is training it, and
                whether it was tried for the second time.
        """
        waiting = list(range(len(self.plans)))
        for again in (False, True):
            self.held = {}
            for place in waiting:
                choice = choose_planned(self.plans[place], self.shards)  # another command may have trained it by now
                folder, self.left[place] = choice.run.folder, 0
                if choice.run.is_done:
                    self.folders[place] = folder
                else:
                    self._try(place, choice, train)
                    tried(folder, place in self.held, again)
            waiting = list(self.held)

    def _try(self, place: int, choice: Choice, train: Callable[[int, Choice], None]) -> None:
        folder = choice.run.folder
        before, began, first = summarize(folder).epochs_done, time.perf_counter(), first_calls.seconds()
        try:
            train(place, choice)
        except LockedError:
            self.held[place] = folder
            if choice.is_new:  # the run that the other process makes there may have other settings
                return
        self.folders[place] = folder
        self._epochs += summarize(folder).epochs_done - before
        self._seconds += time.perf_counter() - began - (first_calls.seconds() - first)  # later runs compile no kernel


def scores_on_test(setting: Setting, shards: Path) -> list[dict[str, Any]]:
    """The scores of a setting's runs on the test split, each with the name of its run."""
    loaded = [load_best(open_run(run.folder)) for run in setting.runs]
    return [{"run": str(one.run.folder), **evaluate_run(one, shards, "test").scores.as_dict()} for one in loaded]
