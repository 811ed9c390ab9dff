import numpy as np
import pytest

from pipeline.augment import Augmentation, augment
from pipeline.drawings import Drawings, Int64Array, from_strokes
from pipeline.hashing import mix64, salted

NONE = Augmentation(rotation=0, shear=0, scale=(1, 1), stretch=0, shift=0, mirror=0)


def random_drawings(count: int, seed: int = 0) -> Drawings:
    dice = np.random.default_rng(seed)

    def stroke() -> list[list[int]]:
        points = int(dice.integers(1, 20))
        return dice.integers(0, 256, (2, points)).tolist()

    drawings = [[stroke() for _ in range(dice.integers(1, 6))] for _ in range(count)]
    return from_strokes(drawings, ["cat"] * count)


def naive_augment(
    drawings: Drawings, rows: Int64Array, how: Augmentation, *, seed: int, epoch: int
) -> list[np.ndarray]:
    """Each drawing's (2, P) points, as `Augmentation` says it, one drawing and one matrix after the other."""
    out = []
    for k in range(len(drawings)):
        key = mix64(np.array([rows[k]], np.uint64) ^ salted("sketchpipe augment", seed, epoch))
        turn, shear, stretch, right, down, size, mirror = (
            float(mix64(key + np.uint64(stream))[0] >> np.uint64(11)) / 2**53 for stream in range(7)
        )
        angle = np.deg2rad(how.rotation * (2 * turn - 1))
        rotate = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        lean = np.array([[1, how.shear * (2 * shear - 1)], [0, 1]])
        scale = how.scale[0] * (how.scale[1] / how.scale[0]) ** size
        wide = np.exp(how.stretch * (2 * stretch - 1))
        resize = np.diag([scale * wide * (-1 if mirror < how.mirror else 1), scale / wide])
        points = np.concatenate([np.array(stroke, np.float64) for stroke in drawings.strokes(k)], axis=1)
        middle = (points.min(axis=1) + points.max(axis=1))[:, None] / 2
        shift = how.shift * (2 * np.array([[right], [down]]) - 1)
        out.append(rotate @ lean @ resize @ (points - middle) + middle + shift)
    return out


@pytest.mark.parametrize("how", [Augmentation(), Augmentation(mirror=1, shift=0), Augmentation(rotation=180)])
def test_points_are_where_the_slow_version_puts_them(how: Augmentation) -> None:
    drawings, rows = random_drawings(40), np.arange(40) * 977
    x, y = augment(drawings, rows, how, seed=5, epoch=2)
    expected = np.concatenate(naive_augment(drawings, rows, how, seed=5, epoch=2), axis=1)
    assert x.dtype == y.dtype == np.float32
    # Products and sums of float32 below 512: a few roundings of at most 2**-15 each.
    np.testing.assert_allclose(np.stack([x, y]), expected, rtol=0, atol=2e-4)


def test_no_amount_leaves_every_point_where_it_was() -> None:
    drawings = random_drawings(20)
    x, y = augment(drawings, np.arange(20), NONE, seed=1, epoch=0)
    np.testing.assert_array_equal(x, drawings.x)
    np.testing.assert_array_equal(y, drawings.y)


def test_a_drawing_is_changed_alike_in_any_batch() -> None:
    drawings, rows = random_drawings(30), np.arange(100, 130)
    x, y = augment(drawings, rows, Augmentation(), seed=0, epoch=1)
    ends = drawings.stroke_end[drawings.drawing_end - 1]
    starts = np.concatenate([[0], ends[:-1]])
    for chosen in ([7], [29, 0, 7], list(range(30))[::-1]):
        taken = np.array(chosen)
        some_x, some_y = augment(drawings.take(taken), rows[taken], Augmentation(), seed=0, epoch=1)
        np.testing.assert_array_equal(some_x, np.concatenate([x[starts[k] : ends[k]] for k in chosen]))
        np.testing.assert_array_equal(some_y, np.concatenate([y[starts[k] : ends[k]] for k in chosen]))


@pytest.mark.parametrize("change", [{"seed": 1}, {"epoch": 1}, {"rows": np.arange(1, 31)}])
def test_each_seed_epoch_and_row_has_another_change(change: dict[str, object]) -> None:
    drawings = random_drawings(30)
    same: dict[str, object] = {"seed": 0, "epoch": 0, "rows": np.arange(30)}

    def points(arguments: dict[str, object]) -> np.ndarray:
        return np.stack(augment(drawings, augmentation=Augmentation(), **arguments))  # type: ignore[arg-type]

    np.testing.assert_array_equal(points(same), points(same))
    assert (points(same) != points({**same, **change})).mean() > 0.9


def test_amounts_reach_from_end_to_end_and_not_beyond() -> None:
    # One drawing of two points 100 apart, many rows: the segment's vector is the matrix's first column.
    count = 2000
    drawings = from_strokes([[[[50, 150], [128, 128]]]] * count, ["line"] * count)
    how = Augmentation(rotation=15, shear=0, scale=(0.5, 2), stretch=0, shift=10, mirror=0.25)
    x, y = augment(drawings, np.arange(count), how, seed=0, epoch=0)
    right, down = np.diff(x.reshape(-1, 2))[:, 0], np.diff(y.reshape(-1, 2))[:, 0]
    size = np.hypot(right, down) / 100
    assert 0.5 <= size.min() + 1e-5 < 0.52
    assert 1.92 < size.max() - 1e-5 <= 2
    # Half of the sizes lie below 1, the middle of 0.5 to 2 in logarithms; five standard deviations of 2000 throws.
    assert abs((size < 1).mean() - 0.5) < 5 * np.sqrt(0.25 / count)
    assert abs((right < 0).mean() - 0.25) < 5 * np.sqrt(0.1875 / count)
    angle = np.rad2deg(np.arctan2(down, np.abs(right)))
    assert 14.5 < np.abs(angle).max() <= 15.001
    middle = x.reshape(-1, 2).mean(axis=1) - 100
    assert 9.9 < np.abs(middle).max() <= 10.001


@pytest.mark.parametrize("strokes", [[], [[]], [[[[9], [200]]]], [[], [[[0, 255], [0, 255]]], []]])
def test_drawings_without_strokes_or_of_one_point_are_no_trouble(strokes: list) -> None:
    count = len(strokes)
    drawings = from_strokes(strokes, ["dot"] * count)
    x, y = augment(drawings, np.arange(count), Augmentation(), seed=0, epoch=0)
    expected = np.concatenate(
        [np.empty((2, 0)), *(naive_of_one(strokes, k) for k in range(count) if strokes[k])], axis=1
    )
    np.testing.assert_allclose(np.stack([x, y]), expected, rtol=0, atol=2e-4)


def naive_of_one(strokes: list, k: int) -> np.ndarray:
    return naive_augment(from_strokes([strokes[k]], ["dot"]), np.array([k]), Augmentation(), seed=0, epoch=0)[0]
