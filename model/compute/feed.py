"""Batches on devices, two calls ahead, and their buffers back to the loader when what was computed is done."""

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

    `jax.device_put` may use a NumPy buffer in place (the CPU backend does), so that a buffer goes back to the loader
    only when what was computed from it is done: `used` tells that.

    Attributes:
        loader: whose buffers these are.
        put: moves arrays to the devices, as `CompiledSteps.put_batch` does.
        group: batches that a call takes.
    """

    loader: Loader
    put: Callable[..., list[jax.Array]]
    group: int = 1
    _in_use: deque[tuple[Sequence[Batch], Any]] = field(default_factory=deque)

    def batches(self, batches: Iterator[Batch]) -> Iterator[tuple[Sequence[Batch], list[tuple[jax.Array, ...]]]]:
        """Each group of batches beside its images and its labels on the devices, the next two groups on their way.

        What is left at the end and makes no whole group comes one by one: every other length of a group would have to
        be compiled.
        """
        placed: deque[list[tuple[Batch, list[jax.Array]]]] = deque()
        group: list[tuple[Batch, list[jax.Array]]] = []
        for batch in batches:
            group.append((batch, self.put(batch.images, batch.labels)))
            if len(group) == self.group:
                placed.append(group)
                group = []
            if len(placed) > AHEAD:
                yield _taken_apart(placed.popleft())
        for last in (*placed, *([one] for one in group)):
            yield _taken_apart(last)

    def used(self, batches: Sequence[Batch], result: Any) -> None:
        """Note that `result` was computed from `batches`; waits for the result of `AHEAD` calls before."""
        self._in_use.append((batches, result))
        while len(self._in_use) > AHEAD:
            done, its_result = self._in_use.popleft()
            jax.block_until_ready(its_result)
            for batch in done:
                self.loader.give_back(batch)


def _taken_apart(group: list[tuple[Batch, list[jax.Array]]]) -> tuple[Sequence[Batch], list[tuple[jax.Array, ...]]]:
    """The batches of a group, and their arrays by kind: images, labels."""
    batches, arrays = zip(*group, strict=True)
    return batches, list(zip(*arrays, strict=True))
