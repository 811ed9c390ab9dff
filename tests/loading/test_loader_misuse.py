"""Loaders used again after an error, given wrong arguments or buffers, short of files, or asked for a part."""

import errno
import os
import resource
import shutil
from pathlib import Path

import pytest

from pipeline.errors import ShardError, UsageError
from pipeline.loading import pools
from pipeline.loading.loader import Loader
from pipeline.shards import footers
from pipeline.shards.read import open_split
from tests.loading.splits import assert_same, config_of, stream
from tests.small import damage, sample_shards

NAME = "train-00000-of-00001.parquet"


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """492 training drawings in 165 row groups of one shard."""
    return sample_shards(tmp_path_factory, "one-shard-of-3", row_group_rows=3, num_shards=1)


def test_a_split_that_could_not_be_read_whole_is_read_again_and_never_served_in_part(
    shards: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(shards, tmp_path / "shards"))
    damage(folder / NAME, 3 * pools._JOINED_GROUPS)
    loader = Loader(open_split(folder, "train"), config_of())
    for _ in range(2):
        with pytest.raises(ShardError, match="damaged"):
            list(loader.epoch(0))
    shutil.copyfile(shards / NAME, folder / NAME)
    assert_same(list(loader.epoch(0)), list(Loader(open_split(shards, "train"), config_of()).epoch(0)))


@pytest.mark.parametrize("streamed", [False, True])
def test_too_many_open_files_are_no_damage(shards: Path, monkeypatch: pytest.MonkeyPatch, streamed: bool) -> None:
    if streamed:
        stream(monkeypatch)
    split = open_split(shards, "train")
    expected = list(Loader(split, config_of()).epoch(0))
    loader = Loader(split, config_of(skip_corrupt=True))
    footers._opened.__dict__.clear()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = [os.dup(0)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (used[0] + 1, limits[1]))
        with pytest.raises(OSError, match="open files") as raised:
            list(loader.epoch(0))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        os.close(used[0])
    assert raised.value.errno == errno.EMFILE
    assert loader.skipped == 0
    assert_same(list(loader.epoch(0)), expected)


@pytest.mark.parametrize("limit", [0, 1, 3, 100])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_part_of_an_evaluation_is_its_beginning(
    shards: Path, monkeypatch: pytest.MonkeyPatch, streamed: bool, limit: int
) -> None:
    if streamed:
        stream(monkeypatch)
    split = open_split(shards, "train")
    assert_same(list(Loader(split, config_of()).once(limit)), list(Loader(split, config_of()).once())[:limit])


def test_a_batch_is_given_back_once_and_to_its_own_loader(shards: Path) -> None:
    split = open_split(shards, "train")
    loader, other = Loader(split, config_of()), Loader(split, config_of(16))
    batch = next(loader.epoch(0))
    loader.give_back(batch)
    for wrong in (batch, next(other.epoch(0))):
        with pytest.raises(UsageError, match="given back twice, or of a loader of another shape"):
            loader.give_back(wrong)


@pytest.mark.parametrize("arguments", [(-1, 0), (0, -1), (0, 16)])
def test_epochs_and_steps_that_are_not_there_are_refused(shards: Path, arguments: tuple[int, int]) -> None:
    loader = Loader(open_split(shards, "train"), config_of())  # 15 steps
    with pytest.raises(UsageError, match="expected an epoch from 0, a step to 15"):
        next(loader.epoch(*arguments))


@pytest.mark.parametrize("change", [{"threads": 0}, {"threads": -1}, {"ahead": -1}])
def test_threads_and_batches_ahead_are_not_negative(change: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="expected 1 or more threads, and 0 or more ahead"):
        config_of(**change)
