"""The progress of a build in one line."""

import time

from pipeline.cli.options import Line, bar, duration, say, size


class BuildLine:
    """Tells the pass, how far it is, bytes and drawings a second, and the time left."""

    def __init__(self) -> None:
        self.input_bytes = 0
        self._line = Line()
        self._pass, self._start = "", 0.0
        self._bytes = self._drawings = self._read = 0
        self._first = (0, 0)  # what an earlier process had done, which says nothing of the speed of this one

    def progress(self, phase: str, count: int, drawings: int) -> None:
        """Take note of so many more bytes of input and drawings in the phase "read" or "write"."""
        if phase != self._pass:
            self._read = self._drawings
            self._pass, self._start = phase, time.monotonic()
            self._bytes, self._drawings, self._first = 0, 0, (count, drawings) if phase == "read" else (0, 0)
            if self._first[0]:
                say(f"  going on behind {size(count)} and {drawings:,} drawings of a build that was cut off")
        self._bytes += count
        self._drawings += drawings
        self._line.show(self._text)

    def clear(self) -> None:
        """Leave the line empty for what comes next."""
        self._line.clear()

    def _text(self) -> str:
        seconds = max(time.monotonic() - self._start, 1e-9)
        rate = (self._drawings - self._first[1]) / seconds
        if self._pass == "read":
            byte_rate = (self._bytes - self._first[0]) / seconds
            left = duration(max(0, self.input_bytes - self._bytes) / byte_rate) if byte_rate else "?"
            share = self._bytes / max(self.input_bytes, 1)
            done = f"{size(self._bytes)} of {size(self.input_bytes)}, {size(byte_rate)}/s, {rate:,.0f} drawings/s"
            return f"pass 1 of 2, reading [{bar(share)}] {done}, {left} left"
        left = duration(max(0, self._read - self._drawings) / rate) if rate else "?"
        done = f"{self._drawings:,} of {self._read:,} drawings, {rate:,.0f} drawings/s"
        return f"pass 2 of 2, writing [{bar(self._drawings / max(self._read, 1))}] {done}, {left} left"
