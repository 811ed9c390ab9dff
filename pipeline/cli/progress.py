"""Progress on stderr: a bar on a terminal, a plain line every 30 seconds elsewhere."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Self

from pipeline import first_calls
from pipeline.cli.options import duration, say, size
from pipeline.wording import aligned, columns_of, visible

PLAIN_SECONDS = 30.0  # between lines if stderr is not a terminal
BAR_SECONDS = 0.1  # between updates of a bar
RATE_SECONDS = 1.0  # of steady work, before its rate and the time left are shown: those of a shorter time vary too much
_BAR_WIDTH = 24  # characters, or a quarter of the terminal's width if that is less
_LEFT = " left"  # how the time left ends


class Bar:
    """A `pipeline.progress.Progress` that shows how far long work is; as a context manager it clears itself.

    On a terminal it is one line that is overwritten, no wider than the terminal. Rate and time left count steady work
    only: what is done after the first piece of a step, and after the last first call of compiled code. While the bar is
    in use, it tells the messages of `first_calls`.

    Args:
        pause_seconds: the time between updates of the bar or between lines; None takes `BAR_SECONDS` or
            `PLAIN_SECONDS`.
    """

    def __init__(self, *, pause_seconds: float | None = None) -> None:
        self._is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        default = BAR_SECONDS if self._is_terminal else PLAIN_SECONDS
        self._pause = default if pause_seconds is None else pause_seconds
        self._due = time.monotonic() + self._pause
        self._step, self._start, self._first, self._has_begun = "", 0.0, 0.0, False
        self._width = self._drawn = 0  # columns of the line that the terminal shows: of its text, and with old blanks
        self._drawing = threading.RLock()  # first calls are told by the threads that make them

    def __call__(
        self, step: str, done: float, total: float | None = None, /, *, unit: str = "", note: str = ""
    ) -> None:
        """Show how far a step is, if the last update was long enough ago."""
        now = time.monotonic()
        is_new, is_first_piece = step != self._step, not self._has_begun and done != self._first
        if is_new or is_first_piece or first_calls.ended() > self._start:
            self._step, self._start, self._first, self._has_begun = step, now, done, not is_new
        if now < self._due:
            return
        self._due = now + self._pause
        elapsed = now - self._start
        rate = (done - self._first) / elapsed if elapsed >= RATE_SECONDS else 0.0
        parts = list(_parts(done, total, unit, note, rate))
        if not self._is_terminal:
            say(f"{step}: {', '.join(parts)}" if parts else step)
            return
        with self._drawing:
            columns = _columns()
            if self._drawn > columns:  # the terminal has become narrower and wrapped the line
                self.clear()
            line = _fitting(visible(step), None if not total else done / total, list(map(visible, parts)), columns - 1)
            sys.stderr.write("\r" + aligned(line, self._width))
            sys.stderr.flush()
            self._width = columns_of(line)
            self._drawn = max(self._drawn, self._width)

    def say(self, message: str) -> None:
        """Write a line in place of the bar, which the next update shows again below it."""
        with self._drawing:
            self.clear()
            say(message)

    def clear(self) -> None:
        """Remove the bar, so that other lines can follow."""
        with self._drawing:
            if above := max(0, self._drawn - 1) // _columns():  # a terminal that has become narrower wraps its lines
                sys.stderr.write("\r\x1b[K" + "\x1b[A\x1b[K" * above)
            elif self._drawn:
                sys.stderr.write("\r" + " " * self._drawn + "\r")
            sys.stderr.flush()
            self._width = self._drawn = 0

    def __enter__(self) -> Self:
        self._tell_before = first_calls.tell_with(self.say)
        return self

    def __exit__(self, *_error: object) -> None:
        first_calls.tell_with(self._tell_before)
        self.clear()


class BuildBar(Bar):
    """The bar of a build; it also says from where an interrupted build resumes.

    Attributes:
        input_bytes: about how many bytes there are to read; 0 if that is not known.
    """

    input_bytes = 0

    def __call__(
        self, step: str, done: float, total: float | None = None, /, *, unit: str = "", note: str = ""
    ) -> None:
        """Show how far a step is, as `Bar` does."""
        is_reading = unit == "B"
        if is_reading and done and step != self._step:
            self.say(f"  resuming an interrupted build after {size(done)} and {note}")
        super().__call__(step, done, (self.input_bytes or total) if is_reading else total, unit=unit, note=note)


def _parts(done: float, total: float | None, unit: str, note: str, rate: float) -> Iterator[str]:
    """What to show of a step, the most important first; `rate` in units a second, 0 if it is not known yet."""
    if unit:
        of = "" if total is None else f" of {_amount(total, unit)}"
        yield (f"{done:,.0f}" if of and unit != "B" else _amount(done, unit)) + of
        if total is not None and rate > 0:
            yield f"{duration(max(0.0, total - done) / rate)}{_LEFT}"
        if rate >= 1:
            yield f"{_amount(rate, unit)}/s"
    if note:
        yield from note.split(", ")


def _fitting(step: str, share: float | None, parts: list[str], width: int) -> str:
    """The step, a bar, and as many parts as fit into `width` columns.

    The time left is the last to be left out: before it even the bar is.
    """
    bar = ""
    if share is not None:
        wide = min(_BAR_WIDTH, width // 4)
        filled = round(min(max(share, 0.0), 1.0) * wide)
        bar = f" [{'#' * filled}{'-' * (wide - filled)}]"
    left = [part for part in parts if part.endswith(_LEFT)]
    if columns_of(_joined(step, bar, left)) > width:
        bar = ":" if left else ""
    chosen: list[str] = []
    for part in [*left, *(part for part in parts if part not in left)]:
        longer = [one for one in parts if one in chosen or one == part]
        if columns_of(_joined(step, bar, longer)) > width:
            break
        chosen = longer
    line = _joined(step, bar if bar != ":" or chosen else "", chosen)
    while columns_of(line) > width:
        line = line[:-1]
    return line


def _joined(step: str, bar: str, parts: list[str]) -> str:
    return f"{step}{bar} {', '.join(parts)}" if parts else f"{step}{bar}"


def _columns() -> int:
    """The width of the terminal that stderr is, in characters."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80  # 0 if the terminal does not know
    except (OSError, ValueError):
        return 80


def _amount(count: float, unit: str) -> str:
    return size(count) if unit == "B" else f"{count:,.0f} {unit}"
