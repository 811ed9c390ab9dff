"""Compares runs without JAX: the settings in which they differ, and the best setting."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.runs.card import stretches
from model.runs.overview import RunSummary

SHOWN = (
    "network",
    "encoding",
    "framing",
    "lr",
    "batch",
    "seed",
)  # the columns of a sweep's table
# The order of the first columns of a table.
_FIRST = ("network", "classes", "shards", "encoding", "framing", "augment", "epochs", "batch", "lr", "seed")
_AUGMENT = "augment"
_LISTED = {"network", "classes", "shards", "epochs", "lr", "batch"}  # the columns that every list of runs has
_USABLE = {"finished", "unfinished", "training", "diverged"}  # states of runs whose checkpoint can be read


@dataclass(frozen=True)
class Setting:
    """Runs with the same settings apart from the seed.

    Attributes:
        values: their values of the settings that are compared.
        runs: one run for each seed.
    """

    values: Mapping[str, Any]
    runs: Sequence[RunSummary]

    @property
    def top1s(self) -> list[float]:
        """The best validation top-1 of each run that is finished, from 0 to 1."""
        return [run.best[0] for run in self.runs if run.state == "finished" and run.best is not None]

    @property
    def mean(self) -> float | None:
        """The mean of `top1s`; None if no run is finished."""
        return sum(self.top1s) / len(self.top1s) if self.top1s else None


def ranked(runs: Sequence[RunSummary], names: Sequence[str]) -> list[Setting]:
    """Group runs by the settings `names`: the best by validation top-1 first, those with an unfinished run last."""
    groups: dict[tuple[str, ...], list[RunSummary]] = {}
    names = [name for name in names if name != "seed"]
    for run in runs:
        groups.setdefault(tuple(repr(run.settings.get(name)) for name in names), []).append(run)
    settings = [Setting({name: group[0].settings.get(name) for name in names}, group) for group in groups.values()]
    return sorted(settings, key=lambda one: (len(one.top1s) < len(one.runs), -(one.mean or 0.0)))


def best_of(settings: Sequence[Setting]) -> Setting | None:
    """The first of `ranked` settings; None if no run is finished."""
    return settings[0] if settings[0].mean is not None else None


def sweep_dict(settings: Sequence[Setting], swept: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """A sweep as JSON: the swept settings, the runs with those of the best setting first, and the best setting.

    Args:
        settings: `ranked`.
        swept: the settings with several values, and their values.
    """
    best = best_of(settings)
    return {
        "swept": swept,
        "runs": [
            {**{name: run.settings.get(name) for name in SHOWN}, **run.as_dict()}
            for setting in settings
            for run in setting.runs
        ],
        "best": best
        and {"values": best.values, "validation_top1": best.mean, "runs": [str(run.folder) for run in best.runs]},
    }


def standard_error(top1: float, drawings: float) -> float:
    """The standard error of an accuracy that was measured on a number of drawings.

    >>> round(standard_error(0.8, 1600), 4)
    0.01
    """
    return math.sqrt(top1 * (1 - top1) / drawings)


def differing(runs: Sequence[RunSummary]) -> dict[str, list[Any]]:
    """The settings in which runs differ, and each run's value; None if it has none or its settings are damaged.

    If several runs are augmented, each amount is compared by itself. If the classes differ, only those that not all
    runs have are listed.
    """
    flat = [_flat(run) for run in runs]
    readable = [one for one in flat if one]
    names = dict.fromkeys(_FIRST) | {name: None for one in readable for name in one}
    found = {}
    for name in names:
        # A run that is not augmented has no amounts to compare.
        values = [one.get(name) for one in readable if name in one or not name.startswith(f"{_AUGMENT} ")]
        if any(value != values[0] for value in values):
            found[name] = [one.get(name) for one in flat]
    if "classes" in found:
        common = set.intersection(*(set(map(str, one["classes"])) for one in readable))
        found["classes"] = [_classes_text(one.get("classes"), common) for one in flat]
    # Two folders with the same name, or one whose shards were built again.
    checksums = {run.shards_checksum for run in runs if run.shards_checksum}
    if len(checksums) > 1:
        names_of = [run.shards for run in runs]
        same = len(set(names_of)) < len(checksums)
        found["shards"] = [
            f"{run.shards} ({run.shards_checksum[:8]})" if same and run.shards and run.shards_checksum else run.shards
            for run in runs
        ]
    elif "shards" in found:  # the same shards under two names
        del found["shards"]
    return found


def listed_settings(runs: Sequence[RunSummary]) -> dict[str, list[Any]]:
    """The settings that a list of runs shows, and each run's value; None if it has none or its settings are damaged.

    These are network, classes, shards, lr and batch, and all others in which runs of the same network differ: what
    belongs to a network's recipe is not listed.
    """
    differ = differing(runs)
    found = {name: [run.settings.get(name) for run in runs] for name in ("network", "lr", "batch")}
    found["classes"] = [len(run.settings["classes"]) if run.settings else None for run in runs]
    found["shards"] = differ.get("shards", [run.shards for run in runs])
    found = {name: found[name] for name in ("network", "classes", "shards", "lr", "batch")}
    for name, values in differ.items():
        pairs = {
            (repr(run.settings["network"]), repr(value))
            for run, value in zip(runs, values, strict=True)
            if run.settings
        }
        if name not in _LISTED and len(pairs) > len({network for network, _ in pairs}):
            found[name] = values
    return found


def better_run(run: RunSummary, others: Sequence[RunSummary]) -> RunSummary | None:
    """The run with the best validation top-1 on the same shards; None if no run is better than `run`."""
    rivals = [
        (one.best[0], one)
        for one in others
        if one.best is not None and one.shards_checksum == run.shards_checksum and one.state in _USABLE
    ]
    top1, rival = max(rivals, key=lambda pair: pair[0], default=(0.0, None))
    return rival if top1 > (run.best[0] if run.best else -1.0) else None


def value_texts(values: Sequence[Any]) -> list[str]:
    """The values of a setting as a table shows them: short, or in full if different values look the same when short.

    >>> value_texts([0.001, 0.1 + 0.2]), value_texts([0.30000001, 0.30000002])
    (['0.001', '0.3'], ['0.30000001', '0.30000002'])
    """
    texts = list(map(value_text, values))
    return texts if len(set(texts)) == len(set(map(repr, values))) else list(map(_whole_text, values))


def value_text(value: Any) -> str:
    """A value of a setting as a table shows it.

    >>> value_text(0.0001), value_text(None), value_text(["cat", "cow"])
    ('0.0001', '-', 'cat, cow')
    """
    text = f"{value:g}" if isinstance(value, float) else _whole_text(value)
    return text if len(text) <= 28 else text[:24] + " ..."


def _whole_text(value: Any) -> str:
    if value is None:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _classes_text(classes: Sequence[Any] | None, common: set[str]) -> str | None:
    if classes is None:
        return None
    own = [word for word in map(str, classes) if word not in common]
    return f"{len(classes)}, with {', '.join(own)}" if own else str(len(classes))


def _flat(run: RunSummary) -> dict[str, Any]:
    """A run's settings and shards, with each amount of its augmentation as a setting of its own."""
    if not run.settings:
        return {}
    flat = {**run.settings, "shards": run.shards}
    if run.added:
        flat["epochs"] = stretches(run.settings["epochs"], run.added)
    augment = run.settings.get(_AUGMENT)
    if isinstance(augment, str):
        pairs = [pair.partition("=") for pair in augment.split(",") if "=" in pair]
        flat[_AUGMENT] = "on" if pairs else augment
        flat |= {f"{_AUGMENT} {name}": amount for name, _, amount in pairs}
    return flat
