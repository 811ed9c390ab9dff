"""Ends the process on Ctrl-C or SIGTERM, at any moment: with one line on stderr and exit code 130 or 143.

Python calls a signal handler in the main thread, between two of its instructions. An exception that a handler raises
there is lost if it lands in a callback of the garbage collector, in a `__del__` or in a library's bare `except`, and
it can crash a C extension that is being loaded. So the handler raises nothing: it writes the line and ends the
process. Files survive that as they survive SIGKILL. There are two exceptions: inside `unwinding` the handler raises, so
that `finally` blocks can remove temporary files, and training delays signals until it has saved a checkpoint
(`model/training/stopping.py`).

The main thread runs no handler while it is in a long call, such as a compilation by XLA. `watch` starts a thread that
ends the process then.

All of this does nothing until `install` is called, as the command does; a program that imports the packages keeps its
own handlers. This module imports little, because the command imports it before anything else.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from contextlib import contextmanager, suppress

TYPE_CHECKING = False  # mypy knows this name; importing `typing` takes longer than this module
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS = (int(signal.SIGINT), int(signal.SIGTERM))
REACTION_SECONDS = 0.5  # after which the main thread is in a long call, since it has not run the handler
UNWINDING_SECONDS = 1.5  # for `finally` blocks


class TerminatedError(BaseException):
    """Raised on SIGTERM inside `unwinding`, as KeyboardInterrupt is on SIGINT."""


class _State:
    installed = False
    watching = False
    unwinding = False
    advice = ""
    raised: int | None = None  # the signal that the handler raised an exception for
    last_line = False  # the line that says how the command ended is being written, or was


_state = _State()
_ending = _thread.allocate_lock()  # taken by the thread that ends the process
_delayed: set[int] = set()  # the signals of which the next one is left to training


def install() -> None:
    """Take over SIGINT and SIGTERM in this process."""
    for number in SIGNALS:
        signal.signal(number, _handle)
    _state.installed = True
    report = sys.unraisablehook

    def end_if_lost(lost: sys.UnraisableHookArgs) -> None:
        if _state.raised is not None and isinstance(lost.exc_value, KeyboardInterrupt | TerminatedError):
            end(_state.raised)
        report(lost)

    sys.unraisablehook = end_if_lost


def is_installed() -> bool:
    """Whether signals end this process as described above."""
    return _state.installed


def raised() -> int | None:
    """The signal for which the handler raised an exception, inside `unwinding`; None if there is none."""
    return _state.raised


def watch() -> None:
    """Start the thread that ends the process on a signal while the main thread is in a long call.

    It is not started by `install`, because a thread that starts before `keep_heap` was called would have a memory arena
    of its own (`model/compute/heap.py`).
    """
    if _state.installed and not _state.watching:
        _state.watching = True
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        _thread.start_new_thread(_end_later, (reading,))


@contextmanager
def unwinding() -> Iterator[None]:
    """Inside, the first signal raises KeyboardInterrupt or `TerminatedError` in the main thread; a second one ends it.

    For work that leaves large temporary files which no later command reuses. If the exception is lost, or the process
    has not ended after `UNWINDING_SECONDS`, it is ended without. Not for code that calls JAX.
    """
    watch()
    before, _state.unwinding = _state.unwinding, True
    try:
        yield
    finally:
        _state.unwinding = before


@contextmanager
def last_line() -> Iterator[None]:
    """Inside, the line that says how the command ended is written: a signal from now on ends it without another one.

    Inside it is not obeyed, so that the line is written whole; the process ends on its own then.
    """
    if not _state.installed:
        yield
        return
    with _ending:
        _state.last_line = True
        yield


@contextmanager
def advising(advice: str) -> Iterator[None]:
    """Inside, the line that a signal writes also says `advice`, such as how the work is resumed."""
    before, _state.advice = _state.advice, advice
    try:
        yield
    finally:
        _state.advice = before


def delay() -> None:
    """Leave the next signal of each kind to the handlers that training has set."""
    _delayed.update(SIGNALS)


def delay_no_more(received: list[int]) -> None:
    """End `delay`; the watching thread may not have seen the signals in `received` yet, and still leaves them."""
    _delayed.intersection_update(received)


def end(number: int) -> None:
    """Write the line of a signal and end this process at once, without `finally` blocks or exit functions."""
    if not _ending.acquire(blocking=False):  # the other thread is ending it, or `last_line` is being written
        return
    if _state.last_line:
        os._exit(128 + number)
    line = f"sketchpipe: {'interrupted' if number == signal.SIGINT else 'terminated'}"
    line += f"; {_state.advice}\n" if _state.advice else "\n"
    with suppress(OSError):  # nobody reads stderr any more
        if os.isatty(2) and os.environ.get("TERM", "dumb") != "dumb":
            line = f"\r\x1b[K\x1b[?25h{line}"  # remove the progress line and the ^C, and show the cursor
        os.write(2, line.encode())
    os._exit(128 + number)


def finish(code: int) -> None:
    """End this process: run the exit functions, write what is buffered, and skip the interpreter's own clean-up.

    Taking all modules apart takes 0.4 s of CPU time after JAX was loaded, and a signal that comes then is lost.
    """
    import atexit

    _flush()
    atexit._run_exitfuncs()
    _flush()
    os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # its reader has ended, or it is closed
            stream.flush()


def _handle(number: int, _frame: FrameType | None) -> None:
    if not _state.unwinding or _state.raised is not None:
        end(number)
        return
    _state.raised = number
    raise KeyboardInterrupt if number == signal.SIGINT else TerminatedError


def _end_later(reading: int) -> None:
    """Read the number of each signal as it comes, and end the process if the main thread does not."""
    while True:
        number = os.read(reading, 1)[0]
        if number in _delayed:
            _delayed.discard(number)
        elif number in SIGNALS:
            time.sleep(UNWINDING_SECONDS if _state.unwinding or _state.raised is not None else REACTION_SECONDS)
            end(number)
