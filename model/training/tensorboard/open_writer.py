"""Opens a run's writer for TensorBoard; without tensorboardX it is one that writes nothing."""

from model.training.tensorboard.writer import Session, Writer


def open_writer(session: Session) -> Writer:
    """Open the writer of a training session.

    Events after the session's first step are removed, because training will write them again, and events that
    `metrics.jsonl` has and the files lack are added. No error of the files is raised: `session.warn` gets it.
    """
    try:
        import tensorboardX  # noqa: F401 - whether it can be imported
    except Exception as error:  # if its version does not fit, protobuf raises TypeError and errors of its own
        if not (isinstance(error, ModuleNotFoundError) and error.name == "tensorboardX"):
            session.warn(f"nothing is written for TensorBoard: tensorboardX cannot be imported ({error})")
        return Writer()
    from model.training.tensorboard.summary_writer import SummaryWriter

    return SummaryWriter(session)
