import itertools

import numpy as np
import pytest

from model.report.analysis import (
    STROKE_BINS,
    SURE,
    TINY,
    by_strokes,
    class_table,
    first_right,
    most_confident_mistakes,
    most_confused_pairs,
    suspects,
)
from model.report.matrix import MOST_IN_TABLE, matrix_for_page
from model.report.order import likeness, similar_order
from model.scoring.metrics import wilson

K = 6


class Columns:
    """Random columns of drawings; of class 5 there is none."""

    def __init__(self, count: int = 300) -> None:
        dice = np.random.default_rng(count)
        self.label = dice.integers(0, K - 1, count).astype(np.uint16)
        other = dice.integers(0, K, count).astype(np.uint16)
        self.best = np.where(dice.random(count) < 0.6, self.label, other)
        self.right = self.best == self.label
        self.rank = np.where(self.right, 0, dice.integers(1, K, count)).astype(np.uint16)
        self.confidence = np.round(dice.uniform(0.3, 1, count), 1).astype(np.float32)  # with ties
        self.of_true = np.where(self.right, self.confidence, dice.uniform(0, 0.3, count)).astype(np.float32)
        self.strokes = dice.integers(1, 40, count).astype(np.uint16)
        self.confusion = np.zeros((K, K), np.int64)
        np.add.at(self.confusion, (self.label, self.best), 1)


@pytest.fixture
def seen() -> Columns:
    return Columns()


def test_wilsons_interval_has_the_ends_that_solve_its_equation() -> None:
    for right, count in ((0, 10), (8, 10), (10, 10), (1, 1), (1171, 1458)):
        low, high = (float(end) for end in wilson(right, count))
        share = right / count
        assert 0 <= low <= share <= high <= 1
        for end in (low, high):  # an end lies 1.96 standard errors, of its own, from the share
            assert abs(share - end) == pytest.approx(1.959963984540054 * (end * (1 - end) / count) ** 0.5, abs=1e-9)
    assert np.isnan(wilson(0, 0)).all()


def test_confusion_and_class_table_are_those_of_the_slow_version(seen: Columns) -> None:
    pairs = list(zip(seen.label.tolist(), seen.best.tolist(), strict=True))
    for a, b in itertools.product(range(K), repeat=2):
        assert seen.confusion[a, b] == pairs.count((a, b))
    table = class_table(seen.confusion, seen.label, seen.rank)
    for k in range(K):
        mine = [n for n in range(len(pairs)) if pairs[n][0] == k]
        assert table["drawings"][k] == len(mine)
        assert table["right"][k] == sum(pairs[n][1] == k for n in mine)
        assert table["in_top3"][k] == sum(seen.rank[n] < 3 for n in mine)
        assert table["named"][k] == sum(best == k for _, best in pairs)
        wrong = [pairs[n][1] for n in mine if pairs[n][1] != k]
        most = max(range(K), key=lambda j, wrong=wrong: (wrong.count(j), -j))
        assert (table["confused"][k], table["confusions"][k]) == ((most, wrong.count(most)) if wrong else (-1, 0))


def test_the_most_confused_pairs_are_those_of_the_slow_version(seen: Columns) -> None:
    count = {(a, b): seen.confusion[a, b] + seen.confusion[b, a] for a, b in itertools.combinations(range(K), 2)}
    expected = sorted((pair for pair in count if count[pair]), key=lambda pair: (-count[pair], pair))
    assert most_confused_pairs(seen.confusion, 99) == expected
    assert most_confused_pairs(seen.confusion, 2) == expected[:2]
    assert most_confused_pairs(np.diag([3, 4]), 5) == []


def test_bins_of_strokes_hold_every_drawing_once(seen: Columns) -> None:
    rows = by_strokes(seen.strokes, seen.right)
    assert sum(row[2] for row in rows) == len(seen.strokes)
    for fewest, most, count, right in rows:
        mine = (seen.strokes >= fewest) & (seen.strokes <= (most or 99))
        assert (count, right) == (mine.sum(), seen.right[mine].sum())
    assert by_strokes(np.array([1, 500]), np.array([True, False])) == [(1, 1, 1, 1), (STROKE_BINS[-1], None, 1, 0)]


def test_mistakes_come_surest_first(seen: Columns) -> None:
    wrong = np.flatnonzero(~seen.right).tolist()
    expected = sorted(wrong, key=lambda n: (-seen.confidence[n], seen.of_true[n], n))
    assert most_confident_mistakes(~seen.right, seen.confidence, seen.of_true).tolist() == expected


def test_suspects_are_as_sure_as_the_mean_of_what_they_look_like(seen: Columns) -> None:
    found = suspects(seen.label, seen.best, seen.confidence, seen.of_true, K)
    expected = []
    for n in range(len(seen.label)):
        labelled = [float(seen.of_true[m]) for m in range(len(seen.label)) if seen.label[m] == seen.best[n]]
        typical = labelled and seen.confidence[n] >= sum(labelled) / len(labelled)
        if not seen.right[n] and typical and seen.confidence[n] >= SURE and seen.of_true[n] <= TINY:
            expected.append(n)
    assert sorted(found.tolist()) == expected
    assert 0 < len(expected) < (~seen.right).sum()
    assert (np.diff(seen.of_true[found]) >= 0).all()


def test_a_drawing_is_settled_from_the_last_time_that_it_was_named_wrongly() -> None:
    right = np.array([[1, 0, 1, 0], [1, 1, 0, 0], [1, 1, 1, 0]], bool)
    assert first_right(right).tolist() == [0, 1, 2, 3]


def test_classes_that_are_taken_for_each_other_stand_side_by_side() -> None:
    confusion = np.diag([50] * 6)
    for a, b in ((0, 3), (3, 5), (1, 4)):  # 0-3-5 and 1-4, and 2 alone
        confusion[a, b] = confusion[b, a] = 20
    order = similar_order(confusion)
    assert sorted(order) == list(range(6))
    assert "".join(map(str, order)) in {"".join(map(str, x)) for x in itertools.permutations(range(6)) if together(x)}
    assert similar_order(confusion) == order


def together(order: tuple[int, ...]) -> bool:
    at = {k: place for place, k in enumerate(order)}
    return abs(at[0] - at[3]) == abs(at[3] - at[5]) == abs(at[1] - at[4]) == 1


def test_the_order_joins_the_groups_that_the_slow_version_joins() -> None:
    confusion = np.random.default_rng(5).integers(0, 30, (9, 9))
    alike = likeness(confusion)
    groups = [frozenset([k]) for k in range(9)]
    joined = []
    while len(groups) > 1:
        first, second = max(
            itertools.combinations(groups, 2),
            key=lambda pair: np.mean([alike[a, b] for a in pair[0] for b in pair[1]]),
        )
        groups = [group for group in groups if group not in (first, second)] + [first | second]
        joined.append(first | second)
    order = similar_order(confusion)
    for group in joined:  # each group is one stretch of the order
        places = sorted(order.index(k) for k in group)
        assert places == list(range(places[0], places[0] + len(places)))


def test_a_large_matrix_is_told_by_what_is_not_nothing() -> None:
    classes = tuple(f"class {k}" for k in range(MOST_IN_TABLE + 5))
    dice = np.random.default_rng(1)
    confusion = dice.integers(0, 9, (35, 35)) * (dice.random((35, 35)) < 0.2)
    confusion[3] = 0
    found = matrix_for_page(confusion, classes)["numbers"]
    again = np.zeros_like(confusion)
    for label, row in enumerate(found["rows"]):
        for named, count in zip(row[::2], row[1::2], strict=True):
            again[label, named] = count
    np.testing.assert_array_equal(again, confusion)
    assert sorted(found["similar"]) == list(range(35))


def test_a_small_matrix_is_a_table_of_every_cell() -> None:
    confusion = np.array([[8, 2], [0, 0]])
    found = matrix_for_page(confusion, ("ant", "bee"))
    cells = {
        (row["word"], cell["word"]): (cell["count"], cell["share"]) for row in found["rows"] for cell in row["cells"]
    }
    assert cells == {
        ("ant", "ant"): (8, 0.8), ("ant", "bee"): (2, 0.2), ("bee", "ant"): (0, 0.0), ("bee", "bee"): (0, 0.0),
    }  # fmt: skip
