"""Puts a loader's batches on devices, two calls ahead, and gives their buffers back after use."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax

from pipeline.loading.loader import Batch, Loader

AHEAD = 2


@dataclass
class Feed:
    """Puts a loader's batches on devices.

    `jax.device_put` may use a NumPy buffer in place (the CPU backend does). So a buffer is given back to the loader
    only after the computation that reads it has ended; `used` waits for that.

    Attributes:
        loader: the loader that the buffers belong to.
        put: moves arrays to the devices, as `CompiledSteps.put_batch` does.
        group: the number of batches that one call takes.
    """

    loader: Loader
    put: Callable[..., list[jax.Array]]
    group: int = 1
    _in_use: deque[tuple[Sequence[Batch], Any]] = field(default_factory=deque)

    def batches(self, batches: Iterator[Batch]) -> Iterator[tuple[Sequence[Batch], list[tuple[jax.Array, ...]]]]:
        """Each group of batches, with its images and its labels on the devices; the next two groups are being copied.

        Batches left at the end that do not fill a group are yielded one by one, because a group of any other length
        would have to be compiled.
        """
        placed: deque[list[tuple[Batch, list[jax.Array]]]] = deque()
        group: list[tuple[Batch, list[jax.Array]]] = []
        for batch in batches:
            group.append((batch, self.put(batch.images, batch.labels)))
            if len(group) == self.group:
                placed.append(group)
                group = []
            if len(placed) > AHEAD:
                yield _by_kind(placed.popleft())
        for last in (*placed, *([one] for one in group)):
            yield _by_kind(last)

    def used(self, batches: Sequence[Batch], result: Any) -> None:
        """Record that `result` is computed from `batches`, and wait until at most `AHEAD` results are unfinished."""
        self._in_use.append((batches, result))
        while len(self._in_use) > AHEAD:
            done, its_result = self._in_use.popleft()
            jax.block_until_ready(its_result)
            for batch in done:
                self.loader.give_back(batch)


def _by_kind(group: list[tuple[Batch, list[jax.Array]]]) -> tuple[Sequence[Batch], list[tuple[jax.Array, ...]]]:
    """The batches of a group, and their arrays by kind: all images, then all labels."""
    batches, arrays = zip(*group, strict=True)
    return batches, list(zip(*arrays, strict=True))
