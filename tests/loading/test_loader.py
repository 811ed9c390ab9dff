import contextlib
import itertools
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ShardError, UsageError
from pipeline.loading.loader import Batch, Loader
from pipeline.loading.order import EpochOrder
from pipeline.rendering.raster import render_batch
from pipeline.rendering.render import RenderConfig
from pipeline.shards.read import ShardSplit, open_split
from tests.loading.splits import WORLDS, all_rows, assert_same, config_of, interleaved, loaders_of, stream
from tests.small import damage, damaged_copy, sample_shards

BATCH = 32
WAYS = ("kept", "streamed")


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """492 training drawings in three shards and 165 row groups, so that lanes cross groups and pools have several."""
    return sample_shards(tmp_path_factory, "row-groups-of-3", row_group_rows=3, num_shards=3)


@pytest.fixture(params=WAYS)
def split(request: pytest.FixtureRequest, shards: Path, monkeypatch: pytest.MonkeyPatch) -> ShardSplit:
    """The training split, small enough to be kept or large enough to be streamed."""
    if request.param == "streamed":
        stream(monkeypatch)
    return open_split(shards, "train")


def order_of(split: ShardSplit, epoch: int) -> list[int]:
    """The rows of an epoch in order."""
    return all_rows(EpochOrder(split.row_starts, config_of().seed, epoch)).tolist()


@pytest.fixture(scope="session")
def epochs(shards: Path) -> list[list[Batch]]:
    """Three epochs as one process sees them of a kept split."""
    loader = Loader(open_split(shards, "train"), config_of())
    return [list(loader.epoch(epoch)) for epoch in range(3)]


def test_in_training_no_drawing_comes_twice_and_each_epoch_leaves_out_others(
    split: ShardSplit, epochs: list[list[Batch]]
) -> None:
    loader, left_out = Loader(split, config_of()), []
    for epoch in range(3):
        batches = list(loader.epoch(epoch))
        assert_same(batches, epochs[epoch])
        assert len(batches) == len(loader) == len(split) // BATCH
        rows = np.concatenate([batch.rows for batch in batches])
        assert len(set(rows.tolist())) == len(rows)
        assert all(batch.mask.all() for batch in batches)
        left_out.append(frozenset(range(len(split))) - frozenset(rows.tolist()))
    assert len(set(left_out)) == 3


@pytest.mark.parametrize("world", WORLDS[1:])
def test_any_number_of_processes_sees_the_same_global_batches(
    split: ShardSplit, epochs: list[list[Batch]], world: int
) -> None:
    loaders = loaders_of(split, world)
    for epoch in range(3):
        assert_same(interleaved([list(loader.epoch(epoch)) for loader in loaders]), epochs[epoch])


@pytest.mark.parametrize("world", WORLDS)
def test_an_epoch_goes_on_exactly_where_it_was_left(split: ShardSplit, world: int) -> None:
    """At 20 places of three epochs; a process's share of the next batch, another process each time."""
    whole, loaders = Loader(split, config_of(16)), loaders_of(split, world, batch=16)
    for epoch in range(3):
        batches = list(whole.epoch(epoch))
        for step in np.linspace(0, len(batches) - 1, 20).round().astype(int).tolist():
            p = (epoch + step) % world
            with contextlib.closing(loaders[p].epoch(epoch, step)) as goes_on:
                found, expected = next(goes_on), batches[step]
            assert (found.epoch, found.step) == (epoch, step)
            for name in ("rows", "labels", "mask", "images"):
                np.testing.assert_array_equal(getattr(found, name), getattr(expected, name)[p::world])
        assert [list(loader.epoch(epoch, len(batches))) for loader in loaders] == [[]] * world


def test_batches_hold_the_drawings_at_their_rows_as_the_renderer_draws_them(split: ShardSplit) -> None:
    for batch in Loader(split, config_of(augmentation=None, render=RenderConfig(16, 1.5))).epoch(1):
        drawings = split.read_rows(batch.rows)
        images = render_batch(
            drawings.x, drawings.y, drawings.stroke_end, drawings.drawing_end, size=16, line_width=1.5
        )
        np.testing.assert_array_equal(batch.images, images)
        np.testing.assert_array_equal(batch.labels, drawings.word)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("batch", [8, 200, 1000])  # 492 drawings: the last batch has 4, 92 and 492
def test_evaluation_sees_every_drawing_once_padded_and_masked(split: ShardSplit, world: int, batch: int) -> None:
    batches = interleaved([list(loader.once()) for loader in loaders_of(split, world, batch=batch)])
    rows = np.concatenate([one.rows[one.mask] for one in batches])
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(split)))
    assert len(batches) == -(-len(split) // batch)
    assert all(one.mask.all() for one in batches[:-1])
    last = batches[-1]
    assert (last.rows[~last.mask] == -1).all()
    assert not last.images[~last.mask].any()
    assert not last.labels[~last.mask].any()


def test_evaluation_never_augments(split: ShardSplit) -> None:
    assert_same(list(Loader(split, config_of()).once()), list(Loader(split, config_of(augmentation=None)).once()))


@pytest.mark.parametrize("threads", [1, 5, None])
def test_batches_do_not_depend_on_threads(split: ShardSplit, epochs: list[list[Batch]], threads: int | None) -> None:
    assert_same(list(Loader(split, config_of(threads=threads, ahead=5)).epoch(2)), epochs[2])


def test_another_seed_gives_another_order(split: ShardSplit, epochs: list[list[Batch]]) -> None:
    batch = next(Loader(split, config_of(seed=4)).epoch(0))
    assert not np.array_equal(batch.rows, epochs[0][0].rows)


def test_a_batch_larger_than_the_split_is_refused(split: ShardSplit) -> None:
    with pytest.raises(UsageError, match=r"batch 493 is larger than the train split \(492 drawings\)"):
        next(Loader(split, config_of(493)).epoch(0))
    assert len(list(Loader(split, config_of(492)).epoch(0))) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 0}, "batch 0"),
        ({"process_count": 3}, "process_count 3: expected a divisor of 64"),
        ({"process_count": 64}, "process_count 64: expected a divisor of 64 and of the batch"),
        ({"process_count": 0}, "process_count 0"),
        ({"process_count": 2, "process_index": 2}, "process_index 2: expected 0 to 1"),
    ],
)
def test_a_configuration_refuses_shares_that_do_not_come_out_even(change: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config_of(**change)


def test_a_damaged_shard_is_named_when_an_epoch_comes_to_it(split: ShardSplit, tmp_path: Path) -> None:
    name = split.files[1].name
    damaged = open_split(damaged_copy(split.folder, tmp_path / "damaged", name), "train")
    before = threading.active_count()
    with pytest.raises(ShardError, match=f"{name}: damaged"):
        list(Loader(damaged, config_of()).epoch(0))
    assert threading.active_count() == before


def test_the_batches_before_a_damaged_row_group_are_sound(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream(monkeypatch, block_rows=1)
    name = "train-00000-of-00003.parquet"
    folder = Path(shutil.copytree(shards, tmp_path / "damaged"))
    split = open_split(folder, "train")
    split.read_row_group(0)  # which proves the file
    damage(folder / name, row_group=1)
    # Rows 3 to 5, in lane 0, whose first pool is of one row group.
    epoch = next(k for k in range(9) if not any(3 <= row < 6 for row in order_of(split, k)[:1]))
    expected = list(Loader(open_split(shards, "train"), config_of(8)).epoch(epoch))
    found: list[Batch] = []
    with pytest.raises(ShardError, match=f"{name}: damaged"):
        found.extend(Loader(split, config_of(8)).epoch(epoch))  # keeps what came before the error
    assert len(found) >= 8
    assert_same(found, expected[: len(found)])


def test_buffers_are_used_again_when_given_back_and_only_then(split: ShardSplit, epochs: list[list[Batch]]) -> None:
    loader = Loader(split, config_of())
    kept = list(loader.epoch(0))
    assert len({batch.images.ctypes.data for batch in kept}) == len(kept)
    buffers = set()
    for batch, expected in zip(loader.epoch(1), epochs[1], strict=True):
        np.testing.assert_array_equal(batch.images, expected.images)
        buffers.add(batch.images.ctypes.data)
        loader.give_back(batch)
    # Two threads and two ahead, and the one the caller has.
    assert len(buffers) <= 5
    assert_same(kept, epochs[0])


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_an_iterator_closed_early_leaves_no_threads(split: ShardSplit, taken: int) -> None:
    before = threading.active_count()
    batches = Loader(split, config_of()).epoch(0)
    for _ in range(taken):
        next(batches)
    batches.close()
    assert threading.active_count() == before


def test_the_time_waited_for_batches_and_that_of_the_threads_is_counted(split: ShardSplit) -> None:
    loader = Loader(split, config_of())
    waited = [0.0, *(loader.waited_seconds for _ in loader.epoch(0))]
    assert all(one < next_one for one, next_one in itertools.pairwise(waited))
    assert loader.times.waiting == loader.waited_seconds
    assert loader.times.reading > 0
    assert loader.times.rendering > 0
