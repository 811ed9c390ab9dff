"""Progress on stderr: a bar on a terminal, a plain line every 30 seconds elsewhere."""

import os
import sys
import time
from collections.abc import Iterator
from typing import Self

from pipeline.cli.options import duration, say, size

PLAIN_SECONDS = 30.0  # between lines where stderr is no terminal
BAR_SECONDS = 0.1  # between pictures of a bar
_BAR_WIDTH = 24  # characters; a quarter of the terminal where that is less


class Bar:
    """Shows long work, as `pipeline.progress.Progress` tells of it; as a context manager it clears itself.

    On a terminal it is one line that is written over, as wide as fits.

    Args:
        pause_seconds: between pictures of the bar, or between lines; None takes the usual.
    """

    def __init__(self, *, pause_seconds: float | None = None) -> None:
        self._is_terminal = sys.stderr.isatty()
        usual = BAR_SECONDS if self._is_terminal else PLAIN_SECONDS
        self._pause = usual if pause_seconds is None else pause_seconds
        self._due = time.monotonic() + self._pause
        self._step, self._start, self._first = "", 0.0, 0.0
        self._width = 0  # of what the terminal shows

    def __call__(
        self, step: str, done: float, total: float | None = None, /, *, unit: str = "", note: str = ""
    ) -> None:
        """Show how far a step is, if it is time."""
        now = time.monotonic()
        if step != self._step:
            self._step, self._start, self._first = step, now, done
        if now < self._due:
            return
        self._due = now + self._pause
        parts = list(_parts(done, total, unit, note, (done - self._first) / max(now - self._start, 1e-9)))
        if not self._is_terminal:
            say(f"{step}: {', '.join(parts)}" if parts else step)
            return
        line = _fitting(step, None if not total else done / total, parts, _columns() - 1)
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = len(line)

    def say(self, message: str) -> None:
        """Write a line where the bar is."""
        self.clear()
        say(message)

    def clear(self) -> None:
        """Remove the bar, so that other lines can follow."""
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.clear()


class BuildBar(Bar):
    """The bar of a build, which also tells of an earlier build's work.

    Attributes:
        input_bytes: how much there is to read, about; 0 where that is not known.
    """

    input_bytes = 0

    def __call__(
        self, step: str, done: float, total: float | None = None, /, *, unit: str = "", note: str = ""
    ) -> None:
        """As `Bar`."""
        is_reading = unit == "B"
        if is_reading and done and step != self._step:
            self.say(f"  resuming behind {size(done)} and {note} of a build that was cut off")
        super().__call__(step, done, (self.input_bytes or None) if is_reading else total, unit=unit, note=note)


def _parts(done: float, total: float | None, unit: str, note: str, rate: float) -> Iterator[str]:
    """What is told of a step, the most important first."""
    if unit:
        of = "" if total is None else f" of {_amount(total, unit)}"
        yield (f"{done:,.0f}" if of and unit != "B" else _amount(done, unit)) + of
        if rate >= 1:
            yield f"{_amount(rate, unit)}/s"
    if note:
        yield from note.split(", ")
    if unit and total is not None and rate > 0:
        yield f"{duration(max(0.0, total - done) / rate)} left"


def _fitting(step: str, share: float | None, parts: list[str], width: int) -> str:
    """The step, a bar, and as many parts as fit into `width` characters."""
    line = step
    if share is not None:
        wide = min(_BAR_WIDTH, width // 4)
        filled = round(min(max(share, 0.0), 1.0) * wide)
        line += f" [{'#' * filled}{'-' * (wide - filled)}]"
    for k, part in enumerate(parts):
        longer = f"{line}{', ' if k else ' '}{part}"
        if len(longer) > width:
            break
        line = longer
    return line[:width]


def _columns() -> int:
    """Of the terminal that stderr is."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80  # 0 where the terminal does not know
    except (OSError, ValueError):
        return 80


def _amount(count: float, unit: str) -> str:
    return size(count) if unit == "B" else f"{count:,.0f} {unit}"
