"""Runs work that waits for a network on threads, with results as they come; stopping waits for no thread."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

_TICK_SECONDS = 0.1  # between two reports of progress
_PARTING_SECONDS = 1.0  # for threads to notice that they should stop

T = TypeVar("T")
R = TypeVar("R")


class StoppedError(Exception):
    """The caller has stopped the work."""


class Counter:
    """A sum that threads add to."""

    def __init__(self) -> None:
        self.total = 0
        self._lock = threading.Lock()

    def add(self, amount: int) -> None:
        """Add `amount`."""
        with self._lock:
            self.total += amount


def each_on_threads(
    function: Callable[[T], R], items: Sequence[T], *, workers: int, stop: threading.Event
) -> Generator[tuple[T, R | Exception] | None, None, None]:
    """Call `function` with each item on threads; yields (item, result or error) as they end, and None every 0.1 s.

    If the caller stops iterating, `stop` is set. Threads that wait for a server then are abandoned; as daemons they do
    not keep the process alive.
    """
    todo: queue.SimpleQueue[T] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[T, R | Exception]] = queue.SimpleQueue()
    for item in items:
        todo.put(item)

    def work() -> None:
        with contextlib.suppress(queue.Empty, StoppedError):
            while not stop.is_set():
                item = todo.get_nowait()
                try:
                    done.put((item, function(item)))
                except StoppedError:
                    raise
                except Exception as error:  # the caller decides what to do about it
                    done.put((item, error))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(workers, len(items)))]
    left = len(items)
    try:
        for thread in threads:
            thread.start()
        while left:
            try:
                result = done.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                yield None
                continue
            left -= 1
            yield result
    finally:
        if left:
            stop.set()
        deadline = time.monotonic() + _PARTING_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
