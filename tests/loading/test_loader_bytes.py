import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.loading.loader import Loader
from pipeline.loading.order import LANES, EpochOrder
from pipeline.sample.doodles import write_sample
from pipeline.shards import footers
from pipeline.shards.read import STROKE_COLUMNS, ShardSplit, open_split
from pipeline.shards.schema import SCHEMA
from tests.loading.splits import WORLDS, assert_same, config_of, file_bytes_read, loaders_of, stream
from tests.shards.builds import build
from tests.small import sample_shards

pytestmark = pytest.mark.long

ROW_GROUP_ROWS = 3


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> ShardSplit:
    """2,000 drawings in four shards, and ten and a half row groups a lane."""
    folder = tmp_path_factory.mktemp("bytes")
    write_sample(folder / "sample", drawings_per_class=200)
    build(folder / "sample", folder / "shards", splits="1,0,0", num_shards=4, row_group_rows=ROW_GROUP_ROWS)
    return open_split(folder / "shards", "train")


def bytes_of_rows(split: ShardSplit) -> NDArray[np.float64]:
    """(N,) float64, each row's part of its row group, from the first column that training reads to the last.

    Arrow reads columns together that lie within 8 KiB of each other, as all do in row groups this small.
    """
    first, last = (SCHEMA.get_field_index(name) for name in (STROKE_COLUMNS[0], STROKE_COLUMNS[-1]))
    sizes = []
    for file in split.files:
        metadata = footers.open_shard(split.folder / file.name, file).metadata
        for number in range(metadata.num_row_groups):
            begin, end = metadata.row_group(number).column(first), metadata.row_group(number).column(last)
            sizes.append(end.data_page_offset + end.total_compressed_size - begin.data_page_offset)
    rows = np.diff(split.row_starts)
    return np.repeat(np.array(sizes) / np.maximum(rows, 1), rows)  # a shard without drawings has an empty row group


@pytest.mark.parametrize("world", WORLDS)
def test_each_process_reads_its_own_share_and_little_more(
    split: ShardSplit, world: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream(monkeypatch)
    assert len(split.row_groups) > 10 * LANES
    sizes, order = bytes_of_rows(split), EpochOrder(split.row_starts, 3, 0)
    read = wanted = 0.0
    for p, loader in enumerate(loaders_of(split, world)):
        if p in (0, world - 1):
            list(loader.epoch(0))  # warm: kernels come from files too
            before = file_bytes_read()
            list(loader.epoch(0))
            read += file_bytes_read() - before
            wanted += sum(sizes[slice(*order.lane(lane))].sum() for lane in range(p, LANES, world))
    assert wanted < read <= 1.1 * wanted


def test_a_part_of_an_evaluation_reads_a_part_of_the_split(split: ShardSplit, monkeypatch: pytest.MonkeyPatch) -> None:
    stream(monkeypatch)
    loader = Loader(split, config_of(64))
    list(loader.once())
    read = [file_bytes_read()]
    for limit in (None, 1):
        list(loader.once(limit))
        read.append(file_bytes_read())
    whole, part = np.diff(read)
    assert part < 0.5 * whole  # of ten row groups a lane the first pool, of one to four


def test_many_small_shards_are_read_like_few(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream(monkeypatch)
    shards = sample_shards(tmp_path_factory, "many-shards", row_group_rows=ROW_GROUP_ROWS, num_shards=100)
    split = open_split(shards, "train")
    loader = Loader(split, config_of())
    list(loader.epoch(0))
    before = file_bytes_read()
    list(loader.epoch(0))
    # A lane holds two and a half row groups here, so that each is read about 1.4 times; never their footers.
    assert file_bytes_read() - before < 2 * bytes_of_rows(split).sum()


def test_footers_that_are_not_kept_are_read_again_and_proved_again(
    split: ShardSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream(monkeypatch)
    expected = list(Loader(split, config_of()).epoch(0))
    monkeypatch.setattr(footers, "KEPT_ROW_GROUPS", 1)
    assert_same(list(Loader(split, config_of()).epoch(0)), expected)
    assert len(footers._footers) >= 1
