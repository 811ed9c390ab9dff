"""The progress of a build in one line."""

import time

from pipeline.cli.options import Line, bar, duration, say, size


class BuildLine:
    """Tells the pass, how far it is, bytes and drawings a second, and the time left.

    Attributes:
        input_bytes: how much there is to read, about.
    """

    def __init__(self) -> None:
        self.input_bytes = 0
        self._line = Line()
        self._pass, self._start = "", 0.0
        self._bytes = self._drawings = self._rows = 0
        self._first = (0, 0)  # what an earlier process had read, which says nothing of the speed of this one

    def progress(self, phase: str, count: int, drawings: int) -> None:
        """Take note of so many more bytes of input and drawings; the phases are those of `build_folder`."""
        if phase == "spilled":
            self._rows = drawings
        if phase != self._pass and phase != "write":
            self._pass, self._start = phase, time.monotonic()
            self._bytes = self._drawings = 0
            self._first = (count, drawings)
            if phase == "read" and count:
                say(f"  going on behind {size(count)} and {drawings:,} drawings of a build that was cut off")
        if phase != "spilled":
            self._bytes += count
            self._drawings += drawings
        self._line.show(self._text)

    def clear(self) -> None:
        """Leave the line empty for what comes next."""
        self._line.clear()

    def _text(self) -> str:
        seconds = max(time.monotonic() - self._start, 1e-9)
        if self._pass == "read":
            byte_rate, rate = ((now - first) / seconds for now, first in zip(self._so_far(), self._first, strict=True))
            left = f", {duration(max(0, self.input_bytes - self._bytes) / byte_rate)} left" if byte_rate > 0 else ""
            share = self._bytes / max(self.input_bytes, 1)
            done = f"{size(self._bytes)} of {size(self.input_bytes)}, {size(byte_rate)}/s, {rate:,.0f} drawings/s"
            return f"pass 1 of 2, reading [{bar(share)}] {done}{left}"
        rate = self._drawings / seconds
        left = f", {duration(max(0, self._rows - self._drawings) / rate)} left" if rate > 0 else ""
        done = f"{self._drawings:,} of {self._rows:,} drawings, {rate:,.0f} drawings/s"
        return f"pass 2 of 2, writing [{bar(self._drawings / max(self._rows, 1))}] {done}{left}"

    def _so_far(self) -> tuple[int, int]:
        return self._bytes, self._drawings
