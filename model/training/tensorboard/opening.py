"""Which board a run is shown to: TensorBoard's files where tensorboardX is installed, else one that keeps nothing."""

from collections.abc import Callable

from model.runs.folder import Run
from model.training.tensorboard.board import Board


def open_board(
    run: Run,
    *,
    steps_per_epoch: int,
    step: int,
    seconds: float,
    rate: Callable[[int], float],
    warn: Callable[[str], None],
) -> Board:
    """The board of a run that goes on at `step`: what was shown beyond is taken back, what is missing made up for.

    Args:
        run: its folder gets the files; nobody else may train it.
        steps_per_epoch: of the run.
        step: steps done.
        seconds: spent training so far.
        rate: the learning rate of the step before which so many were done.
        warn: is told, once, what keeps the board from being written. No error of its files is raised.
    """
    try:
        import tensorboardX  # noqa: F401 - whether it can be had
    except Exception as error:  # protobuf raises TypeErrors and its own where its version does not fit
        if not (isinstance(error, ModuleNotFoundError) and error.name == "tensorboardX"):
            warn(f"nothing is written for TensorBoard: tensorboardX cannot be imported ({error})")
        return Board()
    from model.training.tensorboard.summaries import Summaries

    return Summaries(run, steps_per_epoch, step, seconds, rate, warn)
