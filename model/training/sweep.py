"""A sweep: every combination of some settings as an ordinary run, so that it has no state of its own."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from model.compute.devices import devices_for
from model.compute.steps import check_batch
from model.training.choice import Plan, plan_run
from pipeline.shards.read import ShardSplit

# Those that can take several values; the first changes slowest.
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
    """The runs of a sweep, each configuration once; nothing is trained before all of them can be.

    Args:
        split: the training split.
        lists: the values of the settings that are swept.
        settings: those that all runs have.
        devices: that there are to compute on.

    Raises:
        UsageError: a value is unknown or out of range, a batch is larger than the split, or devices do not divide it.
    """
    plans: list[Plan] = []
    for combination in combinations(lists):
        plan = plan_run(split, {**settings, **combination})
        check_batch(plan.config.batch, devices_for(plan.config.batch, devices))
        if all(plan.config != other.config for other in plans):
            plans.append(plan)
    return plans
