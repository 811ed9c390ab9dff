"""Starting a run from the weights of another: one of 345 classes, say, for a run of a few drawings of ten."""

from dataclasses import dataclass
from pathlib import Path

from model.checkpoint import digest_of, load_checkpoint
from model.config import TrainConfig
from model.networks import parameter_table
from model.runs import open_run
from model.steps import TrainState
from pipeline.errors import CheckpointError, MismatchError

SAME = ("network", "image_size", "line_width", "encoding", "framing")  # or the weights mean something else


@dataclass(frozen=True)
class Start:
    """A run's best checkpoint.

    Attributes:
        folder: of the run.
        config: the run's.
        checkpoint: its folder.
        digest: SHA-256 of its arrays, by which a run tells where it started.
    """

    folder: Path
    config: TrainConfig
    checkpoint: Path
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
    return Start(folder, run.config, checkpoint, digest_of(checkpoint))


def check_start(start: Start, config: TrainConfig) -> None:
    """Refuse to start from the weights of another network, or of one that saw drawings otherwise.

    Raises:
        MismatchError: that is so.
    """
    for name in SAME:
        theirs, ours = getattr(start.config, name), getattr(config, name)
        if theirs != ours:
            raise MismatchError(f"{start.folder}: its {name} is {theirs}, this run's {ours}: it cannot start from it")


def started(state: TrainState, start: Start, classes: tuple[str, ...]) -> TrainState:
    """`state` with the parameters and statistics of `start`; the last layer stays new unless the classes are the same.

    Raises:
        CheckpointError: the checkpoint is damaged.
    """
    stored, _ = load_checkpoint(start.checkpoint)
    last = parameter_table(start.config.network, len(classes))[0][-1].layer
    params = stored["params"] if classes == start.config.classes else {**stored["params"], last: state.params[last]}
    return state.replace(params=params, batch_stats=stored["batch_stats"])  # type: ignore[no-any-return] # flax's own
