"""Being told to stop by SIGINT or SIGTERM, at a place where nothing is lost."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

from pipeline.errors import SketchpipeError


class TrainingStoppedError(SketchpipeError):
    """A training was told to stop and has kept what it did; `exit_code` follows from the signal."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Gather SIGINT and SIGTERM in a list instead of dying of them; a second one kills as usual."""
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
