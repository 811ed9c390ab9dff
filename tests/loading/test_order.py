import hashlib
import itertools

import numpy as np
import pytest

from pipeline.arrays import Int64Array
from pipeline.hashing import salted
from pipeline.loading.order import LANES, POOL_GROUPS, EpochOrder, argsort
from tests.loading.splits import all_rows

SIZES = [[1], [5], [63], [64, 1], [3] * 300, [7, 1, 120, 2, 2, 45] * 6, [1] * 1000, [8192, 8192, 100]]
PINNED_ROWS = [10, 26, 40, 64, 74, 89]
PINNED_HASH = "494aad3e9e1ea8ebe93b851c98afc0d1e01d54c4b97611031d2ee45d126017ff"
# Of SIZES, seeds 0 and 7, the stored order and three epochs.
PINNED_HASH_OF_ALL = "eca30704c39cde2d5497dcbcac0ce7316826695e370de2956337cdb38de71359"


def order_of(sizes: list[int], seed: int = 7, epoch: int | None = 0) -> EpochOrder:
    return EpochOrder(np.cumsum([0, *sizes]), seed, epoch)


def naive_mix(value: int) -> int:
    whole = (1 << 64) - 1
    value = (value + 0x9E3779B97F4A7C15) & whole
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & whole
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & whole
    return value ^ value >> 31


def naive_rows(sizes: list[int], seed: int, epoch: int) -> list[int]:
    """The order as the docstring of `pipeline.loading.order` tells it, one row at a time."""
    group_of = [group for group, size in enumerate(sizes) for _ in range(size)]
    total = len(group_of)
    by_group, by_row = (int(salted(f"sketchpipe {what}", seed, epoch)) for what in ("group", "row"))
    lanes: list[list[int]] = []
    first = 0
    for lane in range(LANES):
        mine = list(range(first, first + total // LANES + (lane < total % LANES)))
        first += len(mine)
        groups = sorted({group_of[row] for row in mine}, key=lambda group: naive_mix(group ^ by_group))
        shuffled: list[int] = []
        length = 1 + lane % POOL_GROUPS
        while groups:
            pool, groups, length = groups[:length], groups[length:], POOL_GROUPS
            shuffled += sorted((row for row in mine if group_of[row] in pool), key=lambda row: naive_mix(row ^ by_row))
        lanes.append(shuffled)
    return [lanes[place % LANES][place // LANES] for place in range(total)]


@pytest.mark.parametrize("sizes", SIZES[:-1])
@pytest.mark.parametrize("epoch", [0, 3])
def test_the_order_is_that_of_its_slow_description(sizes: list[int], epoch: int) -> None:
    assert all_rows(order_of(sizes, epoch=epoch)).tolist() == naive_rows(sizes, 7, epoch)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("epoch", [None, 0, 1])
def test_an_epoch_has_every_row_exactly_once(sizes: list[int], epoch: int | None) -> None:
    rows = all_rows(order_of(sizes, epoch=epoch))
    np.testing.assert_array_equal(np.sort(rows), np.arange(sum(sizes)))


def test_the_order_is_the_pinned_one() -> None:
    rows = all_rows(order_of([100] * 10 + [37], seed=7, epoch=3))
    assert rows[:6].tolist() == PINNED_ROWS
    assert hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest() == PINNED_HASH


def test_the_orders_of_many_sizes_seeds_and_epochs_are_the_pinned_ones() -> None:
    pinned = hashlib.sha256()
    for sizes, seed, epoch in itertools.product(SIZES, (0, 7), (None, 0, 1, 2)):
        pinned.update(all_rows(order_of(sizes, seed, epoch)).astype("<i8").tobytes())
    assert pinned.hexdigest() == PINNED_HASH_OF_ALL


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000])
def test_hashes_are_sorted_as_numpy_sorts_them(count: int) -> None:
    keys = np.random.default_rng(count).integers(0, 1 << 64, count, np.uint64)
    for some in (keys, keys[::-1].copy(), keys >> np.uint64(40)):  # the last of which fall into few buckets
        np.testing.assert_array_equal(some[argsort(some)], np.sort(some))


@pytest.mark.parametrize("sizes", [[3] * 300, [8192, 8192, 100]])
def test_each_epoch_and_each_seed_has_another_order(sizes: list[int]) -> None:
    orders: list[Int64Array] = [all_rows(order_of(sizes, seed, epoch)) for seed in (0, 1) for epoch in (0, 1, 2)]
    for k, one in enumerate(orders):
        for other in orders[k + 1 :]:
            # In a lane of n rows one row keeps its place by chance.
            assert (one == other).mean() < 0.5


def test_the_stored_order_reads_each_lane_from_first_to_last() -> None:
    order = order_of([3] * 300, epoch=None)
    rows = all_rows(order)
    for lane in range(LANES):
        assert rows[lane::LANES].tolist() == list(range(*order.lane(lane)))


def test_lanes_are_consecutive_rows_and_keep_their_rows_in_every_epoch() -> None:
    for epoch in (0, 5):
        order = order_of([50] * 21, epoch=epoch)
        rows, end = all_rows(order), 0
        for lane in range(LANES):
            start, stop = order.lane(lane)
            assert start == end
            assert sorted(rows[lane::LANES].tolist()) == list(range(start, stop))
            end = stop
        assert end == order.rows


def test_pools_follow_one_another_and_lanes_refill_at_different_times() -> None:
    order = order_of([2] * 64 * 20)
    for lane in range(LANES):
        pools = order.pools(lane)
        assert [pool.first for pool in pools] == np.cumsum([0, *map(len, pools)])[:-1].tolist()
        assert max(len(pool.pieces) for pool in pools) <= POOL_GROUPS
    assert {len(order.pools(lane)[0].pieces) for lane in range(LANES)} == {1, 2, 3, 4}
