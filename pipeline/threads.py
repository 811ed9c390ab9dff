"""Runs work on threads with results in order; also the usable cores and where a loader's time goes."""

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
    """Where the time of a loader goes, in seconds, summed over threads.

    Attributes:
        waiting: time that callers wait for batches.
        reading: time spent reading shards and ordering drawings.
        rendering: time spent rendering, including augmentation.
        transforming: time spent in the function that the caller gave for batches.
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
    """The number of cores that this process may use; fewer than the machine has if it is pinned to some of them."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def brisk_switching() -> Iterator[None]:
    """Let a thread that waits for the interpreter lock get it after half a millisecond instead of five.

    Between two kernels a thread needs the lock for microseconds; a build on two workers took a tenth less time.
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
    """`map` on `workers` threads with results in the order of `items`; at most `workers + ahead` are in progress.

    One worker means the calling thread itself, which works on nothing ahead. When the caller stops iterating, items
    that have not begun are cancelled. Kernels release the GIL, so threads are enough.
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
