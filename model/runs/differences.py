"""How a run differs from the configuration and shards that a command asks for, as phrases for a message."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from model.runs.card import RunCard, stretches

if TYPE_CHECKING:  # they import kernels, which finding runs must not
    from model.config import TrainConfig
    from model.runs.folder import Run

_LISTED = 3  # the most differences that a message lists


def differences(run: "Run", config: "TrainConfig", card: RunCard) -> dict[str, str]:
    """How a run's configuration and shards differ from these: a phrase for each setting; empty if it is the same run.

    A run to which epochs were added differs from every configuration, because none describes its learning rate.
    """
    found = other_settings(run.config, config, ("in the run", "here"))
    if run.card.added:
        found["epochs"] = f"{stretches(run.config.epochs, run.card.added)} in the run, epochs {config.epochs} here"
    if run.card.shards_checksum != card.shards_checksum and run.config.classes == config.classes:
        found["shards"] = f"other shards than {run.card.shards}"
    return found


def other_settings(one: "TrainConfig", other: "TrainConfig", where: tuple[str, str]) -> dict[str, str]:
    """How two configurations differ: a phrase for each setting; `where` says what each configuration belongs to."""
    ours, theirs = asdict(one), asdict(other)
    return {
        name: f"{name} {_short(ours[name])} {where[0]}, {_short(theirs[name])} {where[1]}"
        for name in ours
        if ours[name] != theirs[name]
    }


def listed(differ: Mapping[str, str], first: Collection[str] = ()) -> str:
    """A few of the differences, those of the settings `first` before the others, and how many more there are.

    >>> listed({"lr": "lr 1", "batch": "batch 2", "seed": "seed 3", "epochs": "epochs 4"}, first=["seed"])
    'seed 3; lr 1; batch 2; and 1 more'
    """
    phrases = [differ[name] for name in sorted(differ, key=lambda name: name not in first)]
    more = len(phrases) - _LISTED
    return "; ".join(phrases[:_LISTED] + ([f"and {more} more"] if more > 0 else []))


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 60 else text[:56] + " ..."
