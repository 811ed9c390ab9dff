"""Delays SIGINT and SIGTERM until training can save a checkpoint and stop."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

from pipeline.errors import SketchpipeError


class TrainingStoppedError(SketchpipeError):
    """A signal stopped the training, after its state was saved; `exit_code` is 128 plus the signal's number."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Append SIGINT and SIGTERM to the list that is returned; a second signal of a kind ends the process as usual."""
    stopped: list[int] = []
    before: dict[int, Any] = {}

    def note(number: int, _frame: FrameType | None) -> None:
        stopped.append(number)
        signal.signal(number, before[number])

    for number in (int(signal.SIGINT), int(signal.SIGTERM)):
        before[number] = signal.signal(number, note)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
