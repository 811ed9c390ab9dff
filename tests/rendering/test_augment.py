import dataclasses
import math

import numpy as np
import pytest

from pipeline.arrays import Int64Array
from pipeline.drawings import Drawings, from_strokes
from pipeline.errors import UsageError
from pipeline.hashing import mix64, salted
from pipeline.rendering.augment import Augmentation, Augmented, augment, centre

NONE = Augmentation(rotation=0, shear=0, scale=(1, 1), stretch=0, shift=0, mirror=0)
ALL = Augmentation(prefix=0.6, shortest=0.1, dropout=0.3, jitter=4, line_width=(0.5, 2))


def only(**amounts: object) -> Augmentation:
    return dataclasses.replace(NONE, **amounts)  # type: ignore[arg-type]


def random_drawings(count: int, seed: int = 0) -> Drawings:
    dice = np.random.default_rng(seed)

    def stroke() -> list[list[int]]:
        points = int(dice.integers(1, 20))
        return dice.integers(0, 256, (2, points)).tolist()

    drawings = [[stroke() for _ in range(dice.integers(1, 6))] for _ in range(count)]
    return from_strokes(drawings, ["cat"] * count)


def lines(count: int, points: int = 2, strokes: int = 1) -> Drawings:
    """Drawings that are all alike: each stroke from (50, 128) to (150, 128)."""
    stroke = [np.linspace(50, 150, points).astype(int).tolist(), [128] * points]
    return from_strokes([[stroke] * strokes] * count, ["line"] * count)


def unpacked(changed: Augmented) -> list[list[np.ndarray]]:
    """Each drawing's strokes, (2, P)."""
    strokes = np.split(np.stack([changed.x, changed.y]), changed.stroke_end[:-1], axis=1)
    starts = [0, *changed.drawing_end[:-1]]
    return [strokes[a:b] for a, b in zip(starts, changed.drawing_end, strict=True)]


def naive_augment(
    strokes: list[np.ndarray], row: int, how: Augmentation, *, seed: int, epoch: int, margin: float | None
) -> tuple[list[np.ndarray], float]:
    """One drawing's strokes, (2, P), and its factor of the line's width, as `Augmentation` says them."""
    key = int(mix64(np.array([row], np.uint64) ^ salted("sketchpipe augment", seed, epoch))[0])

    def random(stream: int) -> float:
        return int(mix64(np.array([(key + stream) % 2**64], np.uint64))[0] >> np.uint64(11)) / 2**53

    whole = np.concatenate(strokes, axis=1)
    if random(7) < how.prefix:
        stays = max(1, math.ceil((how.shortest + (1 - how.shortest) * random(8)) * whole.shape[1]))
        places = np.arange(whole.shape[1])
        splits = np.cumsum([stroke.shape[1] for stroke in strokes])[:-1]
        strokes = [whole[:, part[part < stays]] for part in np.split(places, splits) if part[0] < stays]
    luck = [random(16 + s) for s in range(len(strokes))]
    least = min(how.dropout, max(luck))
    strokes = [stroke for stroke, throw in zip(strokes, luck, strict=True) if throw >= least]
    points = np.concatenate(strokes, axis=1)

    def box(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return points.min(axis=1, keepdims=True).astype(float), points.max(axis=1, keepdims=True).astype(float)

    low, high = box(points)
    side = max((high - low).max(), 1)
    factor, middle = 1.0, (low + high) / 2
    if margin is not None:
        factor, middle = min((256 - 2 * margin) / side, 8), np.array([[128], [128]])
    elif points.shape[1] < whole.shape[1]:
        corner, opposite = box(whole)
        factor = min((opposite - corner).max() / side, 8)
        middle = corner + factor * (high - low) / 2

    angle = np.deg2rad(how.rotation * (2 * random(0) - 1))
    rotate = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    lean = np.array([[1, how.shear * (2 * random(1) - 1)], [0, 1]])
    wide = np.exp(how.stretch * (2 * random(2) - 1))
    scale = how.scale[0] * (how.scale[1] / how.scale[0]) ** random(5)
    resize = np.diag([scale * wide * (-1 if random(6) < how.mirror else 1), scale / wide])
    shift = how.shift * (2 * np.array([[random(3)], [random(4)]]) - 1)
    moved = rotate @ lean @ resize @ (points - (low + high) / 2) * factor + middle + shift

    noise = int(mix64(np.array([(key + 10) % 2**64], np.uint64))[0]) >> 32
    for p in range(moved.shape[1]):
        bits = (noise + p) % 2**32
        for shift_by, factor_by in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
            bits = (bits ^ bits >> shift_by) * factor_by % 2**32
        moved[:, p] += how.jitter * ((2 * np.array([bits >> 16, bits & 0xFFFF]) + 1) / 2**16 - 1)
    width = how.line_width[0] * (how.line_width[1] / how.line_width[0]) ** random(9)
    return np.split(moved, np.cumsum([stroke.shape[1] for stroke in strokes])[:-1], axis=1), width


@pytest.mark.parametrize("margin", [None, 8.0])
@pytest.mark.parametrize(
    "how",
    [
        Augmentation(),
        Augmentation(mirror=1, shift=0),
        only(rotation=180),
        only(prefix=0.7),
        only(prefix=1, shortest=0),
        only(dropout=0.4),
        only(dropout=1),
        only(jitter=3),
        ALL,
    ],
)
def test_every_drawing_is_what_the_slow_version_makes_of_it(how: Augmentation, margin: float | None) -> None:
    drawings, rows = random_drawings(40), np.arange(40) * 977
    changed = augment(drawings, rows, how, seed=5, epoch=2, margin=margin)
    assert changed.x.dtype == changed.y.dtype == changed.line_width.dtype == np.float32
    assert changed.stroke_end.dtype == changed.drawing_end.dtype == np.int64
    assert len(changed.x) == len(changed.y) == changed.stroke_end[-1]
    assert len(changed.stroke_end) == changed.drawing_end[-1]
    for k, strokes in enumerate(unpacked(changed)):
        stored = [np.array(stroke, np.float64) for stroke in drawings.strokes(k)]
        expected, width = naive_augment(stored, int(rows[k]), how, seed=5, epoch=2, margin=margin)
        assert [stroke.shape for stroke in strokes] == [stroke.shape for stroke in expected]
        # Products and sums of float32 below 512: a few roundings of at most 2**-15 each, enlarged 8 times at most.
        np.testing.assert_allclose(np.hstack(strokes), np.hstack(expected), rtol=0, atol=5e-4)
        assert changed.line_width[k] == pytest.approx(width, rel=1e-6)


def test_no_amount_leaves_every_drawing_as_it_was() -> None:
    drawings = random_drawings(20)
    changed = augment(drawings, np.arange(20), NONE, seed=1, epoch=0)
    for name in ("x", "y", "stroke_end", "drawing_end"):
        np.testing.assert_array_equal(getattr(changed, name), getattr(drawings, name))
    np.testing.assert_array_equal(changed.line_width, 1)


def test_no_amount_and_a_margin_only_centre() -> None:
    drawings = random_drawings(20)
    changed = augment(drawings, np.arange(20), NONE, seed=1, epoch=0, margin=8)
    np.testing.assert_array_equal(np.stack([changed.x, changed.y]), np.stack(centre(drawings, 8)))


def test_a_drawing_is_changed_alike_in_any_batch() -> None:
    drawings, rows = random_drawings(30), np.arange(100, 130)
    together = augment(drawings, rows, ALL, seed=0, epoch=1)
    for chosen in ([7], [29, 0, 7], list(range(30))[::-1]):
        taken = np.array(chosen)
        apart = augment(drawings.take(taken), rows[taken], ALL, seed=0, epoch=1)
        np.testing.assert_array_equal(apart.line_width, together.line_width[taken])
        for k, strokes in zip(chosen, unpacked(apart), strict=True):
            for stroke, same in zip(strokes, unpacked(together)[k], strict=True):
                np.testing.assert_array_equal(stroke, same)


@pytest.mark.parametrize("change", [{"seed": 1}, {"epoch": 1}, {"rows": np.arange(1, 31)}])
@pytest.mark.parametrize("how", [Augmentation(), only(jitter=2)])
def test_each_seed_epoch_and_row_has_another_change(how: Augmentation, change: dict[str, object]) -> None:
    drawings = random_drawings(30)
    same: dict[str, object] = {"seed": 0, "epoch": 0, "rows": np.arange(30)}

    def points(arguments: dict[str, object]) -> np.ndarray:
        return np.stack(augment(drawings, augmentation=how, **arguments)[:2])  # type: ignore[arg-type]

    np.testing.assert_array_equal(points(same), points(same))
    assert (points(same) != points({**same, **change})).mean() > 0.9


def test_amounts_reach_from_end_to_end_and_not_beyond() -> None:
    # One segment 100 long, many rows: its vector is the matrix's first column.
    count = 2000
    how = Augmentation(
        rotation=15, shear=0, scale=(0.5, 2), stretch=0, shift=10, mirror=0.25, line_width=(0.5, 2)
    )  # fmt: skip
    changed = augment(lines(count), np.arange(count), how, seed=0, epoch=0)
    right, down = np.diff(changed.x.reshape(-1, 2))[:, 0], np.diff(changed.y.reshape(-1, 2))[:, 0]
    for factor in (np.hypot(right, down) / 100, changed.line_width):
        assert 0.5 <= factor.min() + 1e-5 < 0.52
        assert 1.92 < factor.max() - 1e-5 <= 2
        # Half lie below 1, the middle of 0.5 to 2 in logarithms; five standard deviations of 2000 throws.
        assert abs((factor < 1).mean() - 0.5) < 5 * np.sqrt(0.25 / count)
    assert abs((right < 0).mean() - 0.25) < 5 * np.sqrt(0.1875 / count)
    angle = np.rad2deg(np.arctan2(down, np.abs(right)))
    assert 14.5 < np.abs(angle).max() <= 15.001
    middle = changed.x.reshape(-1, 2).mean(axis=1) - 100
    assert 9.9 < np.abs(middle).max() <= 10.001


def test_jitter_moves_each_point_and_axis_by_itself() -> None:
    count = 1000
    changed = augment(lines(count), np.arange(count), only(jitter=3), seed=0, epoch=0)
    moved = np.concatenate([changed.x.reshape(-1, 2) - [50, 150], changed.y.reshape(-1, 2) - 128], axis=1)
    assert 2.9 < -moved.min() <= 3
    assert 2.9 < moved.max() <= 3
    # Five standard deviations of the mean, and of the correlation, of so many even throws.
    assert np.abs(moved.mean(axis=0)).max() < 5 * np.sqrt(3 / count)
    assert np.abs(np.corrcoef(moved.T) - np.eye(4)).max() < 5 / np.sqrt(count)


def test_a_prefix_is_the_drawings_beginning() -> None:
    count, points = 1000, 40
    drawings = lines(count, points // 2, strokes=2)
    changed = augment(drawings, np.arange(count), only(prefix=0.5, shortest=0.25), seed=0, epoch=0)
    left = np.diff(changed.stroke_end[changed.drawing_end - 1], prepend=0)
    assert left.min() == points // 4 + 1  # a share that is above the smallest, rounded up
    assert left.max() == points
    assert abs((left < points).mean() - 0.5 * 29 / 30) < 5 * np.sqrt(0.25 / count)  # a share may be all but the whole
    for strokes, stay in zip(unpacked(changed), left, strict=True):
        assert [stroke.shape[1] for stroke in strokes] == ([20, stay - 20] if stay > 20 else [stay])
        # As long as all of it and in the same corner.
        assert np.hstack(strokes)[0].min() == 50
        assert np.hstack(strokes)[0].max() == pytest.approx(150, abs=1e-4)


def test_of_a_prefix_at_least_one_point_stays() -> None:
    drawings = lines(200)
    changed = augment(drawings, np.arange(200), only(prefix=1, shortest=0), seed=0, epoch=0)
    left = np.diff(changed.stroke_end[changed.drawing_end - 1], prepend=0)
    assert set(left) == {1, 2}
    alone = changed.stroke_end[changed.drawing_end - 1][left == 1] - 1
    np.testing.assert_array_equal(changed.x[alone], 50)  # in the whole drawing's corner
    np.testing.assert_array_equal(changed.y[alone], 128)


def test_a_small_beginning_is_enlarged_eight_times_at_most() -> None:
    drawings = from_strokes([[[[10, 14, 255], [20, 20, 255]]]] * 50, ["line"] * 50)
    changed = augment(drawings, np.arange(50), only(prefix=1, shortest=0.34), seed=0, epoch=0)
    left = np.diff(changed.stroke_end[changed.drawing_end - 1], prepend=0)
    assert set(left) == {2, 3}
    ends = changed.stroke_end[changed.drawing_end - 1][left == 2]
    np.testing.assert_array_equal(changed.x[ends - 2], 10)
    np.testing.assert_array_equal(changed.x[ends - 1], 10 + 8 * 4)


@pytest.mark.parametrize("share", [0.25, 0.9])
def test_strokes_are_dropped_by_their_share_but_never_all(share: float) -> None:
    count, strokes = 1000, 4
    changed = augment(lines(count, strokes=strokes), np.arange(count), only(dropout=share), seed=0, epoch=0)
    left = np.diff(changed.drawing_end, prepend=0)
    assert left.min() == 1
    expected = strokes * (1 - share) + share**strokes  # where all would go one stays
    assert abs(left.mean() - expected) < 5 * np.sqrt(strokes * share * (1 - share) / count)


@pytest.mark.parametrize("strokes", [[], [[]], [[[[9], [200]]]], [[], [[[0, 255], [0, 255]]], []]])
@pytest.mark.parametrize("how", [Augmentation(), ALL])
def test_drawings_without_strokes_or_of_one_point_are_no_trouble(strokes: list, how: Augmentation) -> None:
    count = len(strokes)
    drawings = from_strokes(strokes, ["dot"] * count)
    changed = augment(drawings, np.arange(count), how, seed=0, epoch=0)
    assert len(changed.drawing_end) == len(changed.line_width) == count
    assert np.isfinite(changed.x).all()
    assert (np.diff(changed.drawing_end, prepend=0) > 0).tolist() == [bool(drawing) for drawing in strokes]
    assert len(centre(drawings, 8)[0]) == len(drawings.x)


def test_a_stroke_without_points_is_never_all_that_is_left() -> None:
    drawings = from_strokes([[[[], []], [[5], [6]], [[], []]]] * 20, ["dot"] * 20)
    changed = augment(drawings, np.arange(20), only(dropout=1), seed=0, epoch=0)
    np.testing.assert_array_equal(changed.x, [5] * 20)


def test_centred_drawings_lie_in_the_middle_up_to_the_margin() -> None:
    wide, tall, small, dot = [[0, 255], [0, 100]], [[7, 57], [3, 203]], [[200, 210], [90, 95]], [[0, 0], [0, 0]]
    x, y = centre(from_strokes([[wide], [tall], [small], [dot]], ["a"] * 4), 8)
    expected_x = [[8, 248], [98, 158], [88, 168], [128, 128]]
    expected_y = [[128 - 12000 / 255, 128 + 12000 / 255], [8, 248], [108, 148], [128, 128]]
    np.testing.assert_allclose(x.reshape(-1, 2), expected_x, rtol=0, atol=1e-4)  # float32 below 256
    np.testing.assert_allclose(y.reshape(-1, 2), expected_y, rtol=0, atol=1e-4)


@pytest.mark.parametrize("rows", [np.arange(3), np.zeros((2, 1), int), np.zeros(2), np.array([0, -1])])
def test_rows_that_are_not_one_a_drawing_are_refused(rows: Int64Array) -> None:
    with pytest.raises(UsageError, match="rows must be"):
        augment(lines(2), rows, NONE, seed=0, epoch=0)


def test_drawings_and_margins_that_do_not_fit_are_refused() -> None:
    drawings = lines(2)
    with pytest.raises(UsageError, match="margin must be 0 to below 128"):
        centre(drawings, 128)
    with pytest.raises(UsageError, match="drawing_end must rise"):
        centre(dataclasses.replace(drawings, drawing_end=np.array([2, 3])), 8)
    with pytest.raises(UsageError, match="x and y must be"):
        augment(dataclasses.replace(drawings, x=drawings.x[1:]), np.arange(2), NONE, seed=0, epoch=0)
