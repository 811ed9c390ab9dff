"""Applies the caller's function to each batch, with repeatable random numbers and errors that name the batch."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError

# Takes images, labels and a generator of random numbers; returns images and labels.
Transform = Callable[[NDArray[Any], NDArray[Any], np.random.Generator], tuple[NDArray[Any], NDArray[Any]]]


def apply_transform(
    transform: Transform,
    images: NDArray[Any],
    labels: NDArray[Any],
    *,
    seed: int,
    epoch: int | None,
    step: int,
    process_index: int,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Apply `transform` to this process's B drawings of a batch, and return its result.

    Args:
        transform: the function. Its generator is `numpy.random.default_rng((seed, epoch, step, process_index))`.
        images: (B, H, W, C) uint8; the function may write into them.
        labels: (B,) int32; the function may write into them.
        seed: the seed of the loader, from 0.
        epoch: from 0; None in evaluation, whose generators are those of epoch 0.
        step: the batch's number in the epoch.
        process_index: this process's number.

    Raises:
        UsageError: the function failed, or returned anything but two NumPy arrays of B entries.
    """
    where = f"batch {step} of {'an evaluation' if epoch is None else f'epoch {epoch}'}"
    generator = np.random.default_rng((seed, epoch or 0, step, process_index))
    count = len(images)
    try:
        found: Any = transform(images, labels, generator)
    except Exception as error:
        raise UsageError(f"transform failed on {where}: {type(error).__name__}: {error}") from error
    if not isinstance(found, tuple) or len(found) != 2:
        raise UsageError(f"transform of {where}: expected two arrays, images and labels, not {type(found).__name__}")
    for name, array in zip(("images", "labels"), found, strict=True):
        if not isinstance(array, np.ndarray) or array.shape[:1] != (count,):
            got = f"shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise UsageError(f"transform of {where}: expected {name} as a NumPy array of {count} entries, not {got}")
    return found
