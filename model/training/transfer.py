"""Starts a run with the weights of another run, for instance one of all 345 classes."""

from model.compute.steps import TrainState
from model.config import TrainConfig
from model.networks import parameter_table
from model.scoring.loaded import LoadedRun
from pipeline.errors import MismatchError

SAME = (
    "network",
    "image_size",
    "line_width",
    "encoding",
    "framing",
)  # weights fit only a network and images with these
OPTIONS = ("network", "encoding", "framing")


def check_start(start: LoadedRun, config: TrainConfig) -> None:
    """Check that a run can start from the weights: the same network, trained on images of the same kind.

    Raises:
        MismatchError: a setting in `SAME` differs.
    """
    for name in SAME:
        theirs, ours = getattr(start.run.config, name), getattr(config, name)
        if theirs != ours:
            remedy = f"; use --{name} {theirs}" if name in OPTIONS else ""
            raise MismatchError(
                f"{start.run.folder}: its {name} is {theirs}, this run's is {ours}, so it cannot start there{remedy}"
            )


def started(state: TrainState, start: LoadedRun, classes: tuple[str, ...]) -> TrainState:
    """`state` with the parameters and statistics of `start`, but with its own last layer if the classes differ."""
    last = parameter_table(start.run.config.network, len(classes))[0][-1].layer
    params = start.variables["params"]
    if classes != start.run.config.classes:
        params = {**params, last: state.params[last]}
    return state.replace(params=params, batch_stats=start.variables["batch_stats"])  # type: ignore[no-any-return] # flax's own
