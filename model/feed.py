"""Batches on devices, two ahead of the step, and their buffers back to the loader when the step is done."""

from collections import deque
from collections.abc import Callable, Iterator
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
    """

    loader: Loader
    put: Callable[..., list[jax.Array]]
    _in_use: deque[tuple[Batch, Any]] = field(default_factory=deque)

    def batches(self, batches: Iterator[Batch]) -> Iterator[tuple[Batch, list[jax.Array]]]:
        """Each batch beside its images and labels on the devices, the next two on their way."""
        placed: deque[tuple[Batch, list[jax.Array]]] = deque()
        for batch in batches:
            placed.append((batch, self.put(batch.images, batch.labels)))
            if len(placed) > AHEAD:
                yield placed.popleft()
        while placed:
            yield placed.popleft()

    def used(self, batch: Batch, result: Any) -> None:
        """Note that `result` was computed from `batch`; waits for the result of the batch `AHEAD` steps before."""
        self._in_use.append((batch, result))
        while len(self._in_use) > AHEAD:
            done, its_result = self._in_use.popleft()
            jax.block_until_ready(its_result)
            self.loader.give_back(done)
