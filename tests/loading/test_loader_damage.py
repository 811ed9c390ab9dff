import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ShardError
from pipeline.loading.loader import Loader
from pipeline.loading.order import LANES, EpochOrder
from pipeline.sample.doodles import write_sample
from pipeline.shards.read import RowGroupError, ShardSplit, open_split
from tests.loading.splits import WORLDS, assert_same, config_of, interleaved, loaders_of, stream
from tests.shards.builds import build
from tests.small import damage, sample_shards

pytestmark = pytest.mark.long

LOST = (4, 5, 30, 31, 32, 33, 34, 35, 36, 100)  # row groups: a lane is of two and a half, so that some lose all
NAME = "train-00000-of-00001.parquet"


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """492 training drawings in 165 row groups of one shard."""
    return sample_shards(tmp_path_factory, "one-shard-of-3", row_group_rows=3, num_shards=1)


@pytest.fixture(scope="module")
def damaged(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(sound, tmp_path_factory.mktemp("damaged") / "shards"))
    for group in LOST:
        damage(folder / NAME, group)
    return folder


@pytest.fixture(params=("kept", "streamed"))
def split(request: pytest.FixtureRequest, damaged: Path, monkeypatch: pytest.MonkeyPatch) -> ShardSplit:
    """With the row groups of `LOST` damaged."""
    if request.param == "streamed":
        stream(monkeypatch)
    return open_split(damaged, "train")


def lost_rows(split: ShardSplit) -> set[int]:
    return {row for group in LOST for row in range(split.row_starts[group], split.row_starts[group + 1])}


def test_places_of_lost_drawings_go_to_others_of_their_pool_and_all_others_stay(split: ShardSplit, sound: Path) -> None:
    lost, order = lost_rows(split), EpochOrder(split.row_starts, 3, 1)
    expected = list(Loader(open_split(sound, "train"), config_of()).epoch(1))
    found = list(Loader(split, config_of(skip_corrupt=True)).epoch(1))
    stood_in = 0
    for one, other in zip(found, expected, strict=True):
        assert one.mask.all()
        assert lost.isdisjoint(one.rows.tolist())
        same = np.array([row not in lost for row in other.rows.tolist()])
        for name in ("rows", "labels", "images"):
            np.testing.assert_array_equal(getattr(one, name)[same], getattr(other, name)[same])
        for k in np.flatnonzero(~same).tolist():
            place = one.step * 32 + k
            pools = order.pools(place % LANES)
            pool = next(pool for pool in reversed(pools) if pool.first <= place // LANES)
            rows = set(order.permute(pool).tolist())
            assert other.rows[k] in rows
            assert one.rows[k] in rows or rows <= lost
            stood_in += 1
        drawings = split.read_rows(one.rows)
        np.testing.assert_array_equal(one.labels, drawings.word)
    assert stood_in > 10


@pytest.mark.parametrize("world", WORLDS)
def test_what_stands_in_does_not_depend_on_processes_threads_or_where_one_begins(split: ShardSplit, world: int) -> None:
    expected = list(Loader(split, config_of(skip_corrupt=True, threads=1)).epoch(2))
    loaders = loaders_of(split, world, skip_corrupt=True)
    assert_same(interleaved([list(loader.epoch(2)) for loader in loaders]), expected)
    fresh = loaders_of(split, world, skip_corrupt=True, threads=3)
    assert_same(interleaved([list(loader.epoch(2, 9)) for loader in fresh]), expected[9:])


def test_kept_and_streamed_splits_lose_the_same(damaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = open_split(damaged, "train")
    kept = list(Loader(split, config_of(skip_corrupt=True)).epoch(0))
    stream(monkeypatch)
    assert_same(list(Loader(split, config_of(skip_corrupt=True)).epoch(0)), kept)


def test_an_evaluation_leaves_out_what_is_lost_and_nothing_else(split: ShardSplit) -> None:
    lost, rows = lost_rows(split), []
    for batch in Loader(split, config_of(skip_corrupt=True)).once():
        rows += batch.rows[batch.mask].tolist()
        assert (batch.rows[~batch.mask] == -1).all()
        assert not batch.images[~batch.mask].any()
        assert not batch.labels[~batch.mask].any()
    assert sorted(rows) == sorted(set(range(len(split))) - lost)


def test_what_was_skipped_is_counted_once_by_shard(split: ShardSplit) -> None:
    loader = Loader(split, config_of(skip_corrupt=True))
    assert (loader.skipped, loader.corrupt) == (0, {})
    for epoch in range(2):
        list(loader.epoch(epoch))
        assert loader.skipped == len(lost_rows(split))
        assert loader.corrupt == {split.folder / NAME: loader.skipped}


def test_without_leave_to_skip_a_damaged_row_group_stops_the_epoch(split: ShardSplit) -> None:
    loader = Loader(split, config_of())
    with pytest.raises(RowGroupError, match=rf"{NAME}: damaged .* `sketchpipe repair`"):
        list(loader.epoch(0))
    assert loader.skipped == 0


def test_a_split_of_which_nothing_can_be_read_is_an_error(sound: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / "shards"))
    split = open_split(folder, "test")
    name = split.files[0].name
    for group in range(len(split.row_groups)):
        damage(folder / name, group)
    with pytest.raises(ShardError, match="no row group of its test split could be read"):
        list(Loader(split, config_of(8, skip_corrupt=True)).epoch(0))
    assert not any(batch.mask.any() for batch in Loader(split, config_of(8, skip_corrupt=True)).once())


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two builds of the same drawings with other seeds, of a row group a drawing: lanes have three pools and more."""
    folder = tmp_path_factory.mktemp("builds")
    write_sample(folder / "sample", drawings_per_class=60)
    for seed in (0, 1):
        build(folder / "sample", folder / str(seed), splits="1,0,0", seed=seed, row_group_rows=1)
    return [folder / "0", folder / "1"]


@pytest.mark.parametrize("skip_corrupt", [False, True])
def test_shards_that_are_replaced_by_others_while_they_are_read_stop_the_epoch(
    builds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skip_corrupt: bool
) -> None:
    stream(monkeypatch, block_rows=1)
    folder = Path(shutil.copytree(builds[0], tmp_path / "shards"))
    loader = Loader(open_split(folder, "train"), config_of(8, skip_corrupt=skip_corrupt))
    batches = loader.epoch(0)
    next(batches)
    shutil.rmtree(folder)
    shutil.copytree(builds[1], folder)
    with pytest.raises(ShardError, match="shards: its shards were replaced or removed while"):
        list(batches)
    assert loader.skipped == 0


def test_the_same_shards_built_again_go_on_as_if_nothing_had_been(
    builds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream(monkeypatch, block_rows=1)
    folder = Path(shutil.copytree(builds[0], tmp_path / "shards"))
    expected = list(Loader(open_split(builds[0], "train"), config_of(8)).epoch(0))
    batches = Loader(open_split(folder, "train"), config_of(8)).epoch(0)
    first = next(batches)
    for path in builds[0].glob("*.parquet"):
        shutil.copy(path, tmp_path / "new")  # of another time
        (tmp_path / "new").replace(folder / path.name)
    assert_same([first, *batches], expected)
