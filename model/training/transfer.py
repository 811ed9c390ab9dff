"""Starts a run with the weights of another run, for instance one of all 345 classes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.compute.steps import TrainState
from model.config import TrainConfig
from model.networks import parameter_table
from model.runs.checkpoint import digest_of
from model.runs.folder import open_run
from model.runs.state import load_checkpoint
from pipeline.errors import CheckpointError, MismatchError

SAME = (
    "network",
    "image_size",
    "line_width",
    "encoding",
    "framing",
)  # weights fit only a network and images with these
OPTIONS = ("network", "encoding", "framing")


@dataclass(frozen=True)
class Start:
    """A run's best checkpoint.

    Attributes:
        folder: the folder of that run.
        config: the configuration of that run.
        params: the checkpoint's parameters.
        batch_stats: the checkpoint's batch statistics.
        digest: SHA-256 of the checkpoint's arrays, which the configuration of the new run stores.
    """

    folder: Path
    config: TrainConfig
    params: Any
    batch_stats: Any
    digest: str


def open_start(folder: Path) -> Start:
    """Read the best checkpoint of the run in `folder`.

    Raises:
        SketchpipeError: there is no such run or checkpoint, or it is damaged.
    """
    run = open_run(folder)
    checkpoint = run.checkpoint(best=True)
    if checkpoint is None:
        raise CheckpointError(f"{folder}: has no checkpoint yet, so no run can start from it")
    state, _ = load_checkpoint(checkpoint)
    return Start(folder, run.config, state["params"], state["batch_stats"], digest_of(checkpoint))


def check_start(start: Start, config: TrainConfig) -> None:
    """Check that a run can start from the weights: the same network, trained on images of the same kind.

    Raises:
        MismatchError: a setting in `SAME` differs.
    """
    for name in SAME:
        theirs, ours = getattr(start.config, name), getattr(config, name)
        if theirs != ours:
            remedy = f"; use --{name} {theirs}" if name in OPTIONS else ""
            raise MismatchError(
                f"{start.folder}: its {name} is {theirs}, this run's is {ours}, so it cannot start there{remedy}"
            )


def started(state: TrainState, start: Start, classes: tuple[str, ...]) -> TrainState:
    """`state` with the parameters and statistics of `start`, but with its own last layer if the classes differ."""
    last = parameter_table(start.config.network, len(classes))[0][-1].layer
    params = start.params if classes == start.config.classes else {**start.params, last: state.params[last]}
    return state.replace(params=params, batch_stats=start.batch_stats)  # type: ignore[no-any-return] # flax's own
