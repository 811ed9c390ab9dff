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

SAME = ("network", "image_size", "line_width", "encoding", "framing")  # or the weights mean something else
OPTIONS = ("network", "encoding", "framing")


@dataclass(frozen=True)
class Start:
    """A run's best checkpoint.

    Attributes:
        folder: of the run.
        config: the run's.
        params: the parameters there.
        batch_stats: the statistics there.
        digest: SHA-256 of the checkpoint's arrays, by which a run tells where it started.
    """

    folder: Path
    config: TrainConfig
    params: Any
    batch_stats: Any
    digest: str


def open_start(folder: Path) -> Start:
    """The best checkpoint of the run in `folder`.

    Raises:
        SketchpipeError: there is none, or it is damaged.
    """
    run = open_run(folder)
    checkpoint = run.checkpoint(best=True)
    if checkpoint is None:
        raise CheckpointError(f"{folder}: has no checkpoint yet, so nothing to start from")
    state, _ = load_checkpoint(checkpoint)
    return Start(folder, run.config, state["params"], state["batch_stats"], digest_of(checkpoint))


def check_start(start: Start, config: TrainConfig) -> None:
    """Refuse to start from the weights of another network, or of one that saw drawings otherwise.

    Raises:
        MismatchError: that is so.
    """
    for name in SAME:
        theirs, ours = getattr(start.config, name), getattr(config, name)
        if theirs != ours:
            remedy = f"; say --{name} {theirs}" if name in OPTIONS else ""
            raise MismatchError(
                f"{start.folder}: its {name} is {theirs}, this run's {ours}: it cannot start from it{remedy}"
            )


def started(state: TrainState, start: Start, classes: tuple[str, ...]) -> TrainState:
    """`state` with the parameters and statistics of `start`; its last layer stays unless the classes are the same."""
    last = parameter_table(start.config.network, len(classes))[0][-1].layer
    params = start.params if classes == start.config.classes else {**start.params, last: state.params[last]}
    return state.replace(params=params, batch_stats=start.batch_stats)  # type: ignore[no-any-return] # flax's own
