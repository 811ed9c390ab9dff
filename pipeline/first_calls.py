"""First calls of compiled code: when they end, so that no rate counts them, and what the user is told about them.

The first call of a kernel or of a network in a process loads its machine code or compiles it. That takes longer than
thousands of later calls, so a rate or a time left that counts it would be wrong.
"""

import threading
import time
from collections.abc import Callable

Tell = Callable[[str], None]

_lock = threading.Lock()
_ended, _seconds = float("-inf"), 0.0
_told: set[str] = set()
_tell: Tell = lambda _message: None  # noqa: E731 # a program that uses the library is told nothing


def ended() -> float:
    """The time when the last first call ended, as `time.monotonic` counts; minus infinity if there was none."""
    return _ended


def seconds() -> float:
    """The seconds that all first calls of kernels have taken in this process."""
    return _seconds


def note(taken: float = 0.0) -> None:
    """Note that a first call ends now, after `taken` seconds that `seconds` counts."""
    global _ended, _seconds
    with _lock:
        _ended, _seconds = time.monotonic(), _seconds + taken


def tell_once(message: str) -> None:
    """Tell the user a message, unless this process has told it before. Any thread may call this."""
    with _lock:
        if message in _told:
            return
        _told.add(message)
    _tell(message)


def tell_with(tell: Tell) -> Tell:
    """From now on tell messages with `tell`; returns the function that told them before."""
    global _tell
    before, _tell = _tell, tell
    return before
