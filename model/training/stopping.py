"""Delays SIGINT and SIGTERM until training can save a checkpoint and stop."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

from pipeline import interrupts
from pipeline.errors import SketchpipeError


class TrainingStoppedError(SketchpipeError):
    """A signal stopped the training, after its state was saved; `exit_code` is 128 plus the signal's number."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class StopSignals(list[int]):
    """The signals that came.

    Attributes:
        work_to_save: whether a step was done since training began. Until then a signal ends `sketchpipe` at once,
            because nothing is lost, and the first step takes long to compile.
    """

    work_to_save = False

    def delay(self) -> None:
        """From now on delay the first signal of each kind, because there is work to save."""
        if not self.work_to_save:
            self.work_to_save = True
            interrupts.delay()


@contextlib.contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Append SIGINT and SIGTERM to the list that is returned; a second signal of a kind ends the process as usual.

    Raises:
        TrainingStoppedError: a signal came before training ended with another error, which the message tells.
    """
    stopped = StopSignals()
    before: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        if interrupts.is_installed() and not stopped.work_to_save:
            before[number](number, frame)
        stopped.append(number)
        signal.signal(number, before[number])

    for number in interrupts.SIGNALS:
        before[number] = signal.signal(number, note)
    try:
        yield stopped
    except SketchpipeError as error:
        if stopped and not isinstance(error, TrainingStoppedError):  # else a sweep would train its next run
            raise TrainingStoppedError(stopped[0], f"stopped by {name_of(stopped)}; {error}") from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        interrupts.delay_no_more(stopped)


def name_of(stopped: list[int]) -> str:
    """The name of the signal that came first."""
    return signal.Signals(stopped[0]).name
