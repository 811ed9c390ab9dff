"""A loader as an iterable of epochs, and what a caller's own function makes of its batches."""

import copy
import itertools
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.loading.loader import Batch, Loader
from pipeline.loading.transform import Transform
from pipeline.rendering.render import RenderConfig
from pipeline.shards.read import ShardSplit, open_split
from tests.loading.splits import assert_same, config_of, loaders_of, stream
from tests.small import sample_shards

Arrays = tuple[NDArray[Any], NDArray[Any]]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 490 drawings in the training split; nobody writes into it."""
    return sample_shards(tmp_path_factory, "row-groups-of-3", row_group_rows=3, num_shards=3)


@pytest.fixture(params=["kept", "streamed"])
def split(request: pytest.FixtureRequest, shards: Path, monkeypatch: pytest.MonkeyPatch) -> ShardSplit:
    if request.param == "streamed":
        stream(monkeypatch)
    return open_split(shards, "train")


def epoch_of(split: ShardSplit, epoch: int) -> list[Batch]:
    return list(Loader(split, config_of()).epoch(epoch))


def with_noise(images: NDArray[Any], labels: NDArray[Any], rng: np.random.Generator) -> Arrays:
    return images + rng.standard_normal((len(images), 1, 1, 1), np.float32), labels + rng.integers(100)


def test_each_iteration_is_the_next_epoch_and_its_length_the_batches(split: ShardSplit) -> None:
    loader = Loader(split, config_of())
    for epoch in range(3):
        batches = list(loader)
        assert len(batches) == len(loader)
        assert_same(batches, epoch_of(split, epoch))


def test_an_epoch_asked_for_by_number_is_not_counted_and_the_next_one_may_be_set(split: ShardSplit) -> None:
    loader = Loader(split, config_of())
    assert_same(list(loader.epoch(4)), epoch_of(split, 4))
    assert [batch.epoch for batch in loader] == [0] * len(loader)
    loader.next_epoch = 7
    assert_same(list(loader), epoch_of(split, 7))
    assert loader.next_epoch == 8


def test_an_iteration_broken_off_has_used_its_epoch_and_leaves_no_threads(split: ShardSplit) -> None:
    loader, before = Loader(split, config_of()), threading.active_count()
    for batch in loader:
        if batch.step == 1:
            break
    assert threading.active_count() == before
    assert_same(list(loader), epoch_of(split, 1))


def test_a_loader_goes_on_after_an_interruption(split: ShardSplit) -> None:
    def interrupt_once(images: NDArray[Any], labels: NDArray[Any], _rng: np.random.Generator) -> Arrays:
        if interruptions:
            raise interruptions.pop()
        return images, labels

    interruptions, before = [KeyboardInterrupt()], threading.active_count()
    loader = Loader(split, config_of(transform=interrupt_once))
    with pytest.raises(KeyboardInterrupt):
        list(loader)
    assert threading.active_count() == before
    assert_same(list(loader), epoch_of(split, 1))


def test_two_iterations_at_once_are_two_epochs(split: ShardSplit) -> None:
    loader = Loader(split, config_of())
    first, second = zip(*zip(loader, loader, strict=True), strict=True)
    assert_same(first, epoch_of(split, 0))
    assert_same(second, epoch_of(split, 1))


def test_iterations_on_several_threads_are_as_many_epochs(split: ShardSplit) -> None:
    loader, found = Loader(split, config_of()), {}

    def iterate() -> None:
        batches = list(loader)
        found[batches[0].epoch] = batches

    threads = [threading.Thread(target=iterate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for epoch in range(3):
        assert_same(found[epoch], epoch_of(split, epoch))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda loader: pickle.loads(pickle.dumps(loader))])
def test_a_loader_is_pickled_as_its_split_its_settings_and_its_next_epoch(
    split: ShardSplit, copied: Callable[[Loader], Loader]
) -> None:
    loader = Loader(split, config_of(transform=with_noise))
    under_way = iter(loader)
    loader.give_back(next(under_way))
    other = copied(loader)
    assert (other.next_epoch, other.times.waiting, other.config) == (1, 0, loader.config)
    assert_same(list(other), list(loader))
    under_way.close()


def test_a_loader_opens_a_folder_and_shows_itself_in_a_line(shards: Path) -> None:
    loader = Loader(str(shards), split="test", batch=8, seed=5, render=RenderConfig(16), threads=1)
    assert_same(list(loader), list(Loader(open_split(shards, "test"), loader.config).epoch(0)))
    assert Loader(shards).split.name == "train"
    count = len(loader.split)
    assert repr(loader) == f"Loader({shards} test, {count} drawings, batches: {count // 8} of 8, seed 5)"
    assert repr(next(iter(loader))) == "Batch(epoch 1, step 0, images (8, 16, 16, 3) uint8)"


def test_a_transform_gets_the_same_generator_for_the_same_batch(split: ShardSplit) -> None:
    expected = [
        with_noise(batch.images, batch.labels, np.random.default_rng((3, 2, batch.step)))
        for batch in epoch_of(split, 2)
    ]
    for threads, start in itertools.product((1, 3), (0, 4)):
        loader = Loader(split, config_of(transform=with_noise, threads=threads, ahead=4))
        found = [(batch.images, batch.labels) for batch in loader.epoch(2, start)]
        for (images, labels), (expected_images, expected_labels) in zip(found, expected[start:], strict=True):
            np.testing.assert_array_equal(images, expected_images)
            np.testing.assert_array_equal(labels, expected_labels)
            assert images.dtype == np.float32


def test_processes_have_generators_of_their_own(split: ShardSplit) -> None:
    def draw(images: NDArray[Any], labels: NDArray[Any], rng: np.random.Generator) -> Arrays:
        return images, np.full(len(labels), rng.integers(1 << 62))

    loaders = loaders_of(split, 2, transform=draw)
    drawn = [batch.labels[0] for loader in loaders for epoch in (0, 1) for batch in loader.epoch(epoch)]
    assert len(set(drawn)) == len(drawn) == 4 * len(loaders[0])


def test_a_transform_may_change_shapes_and_write_into_its_images(split: ShardSplit) -> None:
    def flatten(images: NDArray[Any], labels: NDArray[Any], _rng: np.random.Generator) -> Arrays:
        images //= 2
        return images.reshape(len(images), -1), np.eye(10, dtype=np.float32)[labels]

    loader = Loader(split, config_of(transform=flatten))
    for _ in range(2):  # the second time into the same memory
        for batch, plain in zip(loader.epoch(0), epoch_of(split, 0), strict=True):
            np.testing.assert_array_equal(batch.images, plain.images.reshape(32, -1) // 2)
            np.testing.assert_array_equal(batch.labels.argmax(axis=1), plain.labels)
            loader.give_back(batch)


def test_memory_given_back_is_the_loaders_own_whatever_a_transform_returns(split: ShardSplit) -> None:
    seen: list[int] = []

    def scale(images: NDArray[Any], labels: NDArray[Any], _rng: np.random.Generator) -> Arrays:
        seen.append(images.ctypes.data)
        return images / np.float32(255), labels

    loader = Loader(split, config_of(transform=scale, threads=1, ahead=0))
    for batch in loader.epoch(0):
        kept = batch.images.copy()
        loader.give_back(batch)
        np.testing.assert_array_equal(batch.images, kept)
        with pytest.raises(UsageError, match="given back twice"):
            loader.give_back(batch)
    assert len(seen) == len(loader)
    assert len(set(seen)) < len(seen)


def test_evaluation_shows_a_transform_the_padding_too(shards: Path) -> None:
    shapes: list[tuple[int, int]] = []

    def count(images: NDArray[Any], labels: NDArray[Any], _rng: np.random.Generator) -> Arrays:
        shapes.append((len(images), len(labels)))
        return images.any(axis=(1, 2, 3)), labels

    split = open_split(shards, "test")
    batches = list(Loader(split, config_of(16, transform=count)).once())
    assert shapes == [(16, 16)] * len(batches)
    for batch in batches:
        np.testing.assert_array_equal(batch.images, batch.mask)
        assert not batch.labels[~batch.mask].any()
    assert sum(batch.mask.sum() for batch in batches) == len(split) < 16 * len(batches)


def test_an_error_in_a_transform_ends_the_iteration_and_names_the_batch(split: ShardSplit) -> None:
    def fail(_images: NDArray[Any], _labels: NDArray[Any], _rng: np.random.Generator) -> Arrays:
        raise ZeroDivisionError("nothing to divide by")

    def fail_late(images: NDArray[Any], labels: NDArray[Any], rng: np.random.Generator) -> Arrays:
        return fail(images, labels, rng) if (images == marked).all() else (images, labels)

    marked = epoch_of(split, 1)[5].images
    before, found = threading.active_count(), []
    message = "^transform failed on batch 5 of epoch 1: ZeroDivisionError: nothing to divide by$"
    with pytest.raises(UsageError, match=message) as caught:
        found.extend(Loader(split, config_of(transform=fail_late)).epoch(1))  # keeps what came before the error
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert_same(found, epoch_of(split, 1)[:5])
    assert threading.active_count() == before
    with pytest.raises(UsageError, match="batch 0 of an evaluation: ZeroDivisionError"):
        list(Loader(split, config_of(transform=fail)).once())


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (lambda images, _labels, _rng: images, "expected two arrays, images and labels, not ndarray"),
        (lambda images, labels, _rng: (images[1:], labels), r"images as a NumPy array of 32 entries, not shape \(31, "),
        (lambda images, labels, _rng: (images, labels.sum()), "labels as a NumPy array of 32 entries, not int"),
        (lambda images, labels, _rng: (images, labels.tolist()), "labels as a NumPy array of 32 entries, not list"),
    ],
)
def test_what_a_transform_returns_is_checked(split: ShardSplit, transform: Transform, message: str) -> None:
    with pytest.raises(UsageError, match=f"transform of batch 0 of epoch 0: .*{message}"):
        next(iter(Loader(split, config_of(transform=transform))))


def test_a_seed_below_0_is_refused() -> None:
    with pytest.raises(UsageError, match="seed -1: expected a whole number from 0"):
        config_of(seed=-1)
