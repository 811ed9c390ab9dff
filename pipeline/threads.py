"""Work on threads, its results in order, and its time: kernels release the GIL, so that threads are enough."""

import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

_SWITCH_SECONDS = 0.0005

A = TypeVar("A")
B = TypeVar("B")


@dataclass
class Times:
    """Where the time of a loader goes, in seconds, added up over threads.

    Attributes:
        waiting: of callers for batches.
        reading: shards, and drawings put in order.
        rendering: augmentation included.
        transforming: what a caller's own function of batches takes.
    """

    waiting: float = 0.0
    reading: float = 0.0
    rendering: float = 0.0
    transforming: float = 0.0
    _adding: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @contextlib.contextmanager
    def adding(self, what: str) -> Iterator[None]:
        """Add the time spent inside to the attribute named `what`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            with self._adding:
                setattr(self, what, getattr(self, what) + seconds)


def core_count() -> int:
    """The cores that this process may use: fewer than the machine's where it is pinned to some."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def brisk_switching() -> Iterator[None]:
    """Let threads that wait for the interpreter's lock have it after half a millisecond instead of five.

    Between two kernels a thread needs it for microseconds; a whole build on two workers took a tenth less time.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def ordered_map(
    function: Callable[[A], B], items: Iterable[A], workers: int, ahead: int = 1
) -> Generator[B, None, None]:
    """`map` on `workers` threads, results in the order of `items`, of which `workers + ahead` are in work at most.

    One worker means this thread itself, and nothing ahead. When the caller stops, so do the threads.
    """
    if workers == 1:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(workers)
    pending: deque[Future[B]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= workers + ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
