"""Work on threads, its results in order: kernels release the GIL, so that threads are enough."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


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
