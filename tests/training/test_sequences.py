"""benchmarks/sequences.py: strokes as sequences, beside the images of the same points."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.arrays import Float32Array, Int64Array
from pipeline.loading.loader import Loader, LoaderConfig
from pipeline.rendering.augment import Augmentation, augment
from pipeline.rendering.render import RenderConfig
from pipeline.shards.read import open_split
from tests.small import sample_shards

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _beside_the_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)


def naive_sequences(
    x: Float32Array, y: Float32Array, stroke_end: Int64Array, drawing_end: Int64Array, length: int
) -> Float32Array:
    out = np.zeros((len(drawing_end), length, 6), np.float32)
    stroke_of = np.repeat(np.arange(len(stroke_end)), np.diff(stroke_end, prepend=0))
    ends = np.append(0, stroke_end)[drawing_end]
    for n, (begin, end) in enumerate(zip(np.append(0, ends[:-1]), ends, strict=True)):
        places = np.arange(begin, end)
        if len(places) > length:
            places = begin + np.arange(length) * (end - begin - 1) // (length - 1)
        for k, p in enumerate(places):
            before = places[max(k - 1, 0)]
            dx, dy = (x[p] - x[before]) / 64, (y[p] - y[before]) / 64
            drawn = k > 0 and stroke_of[p] == stroke_of[before]
            out[n, k] = dx, dy, np.hypot(dx, dy), 1 if drawn else -1, x[p] / 128 - 1, y[p] / 128 - 1
    return out


@pytest.mark.parametrize("length", [2, 8, 64])
def test_sequences_are_those_of_a_slow_obvious_version(length: int) -> None:
    from sequences import sequences_of

    rng = np.random.default_rng(length)
    strokes = rng.integers(1, 9, 40)
    # Drawings of one stroke and of several, one without strokes, and one of a single point.
    strokes[0], drawing_end = 1, np.array([1, 1, 3, 4, 11, 25, 40])
    stroke_end = np.cumsum(strokes)
    x, y = rng.uniform(-20, 276, (2, stroke_end[-1])).astype(np.float32)
    found = sequences_of(x, y, stroke_end, drawing_end, length)
    expected = naive_sequences(x, y, stroke_end, drawing_end, length)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)  # a product by 1/64 in float32, not a division


@pytest.mark.parametrize("length", [0, 16])
def test_a_carrying_loader_has_the_images_and_labels_of_the_loader(
    length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from sequences import CarryingLoader, sequences_of

    split = open_split(sample_shards(tmp_path_factory), "train")
    amounts = Augmentation(prefix=0.5, dropout=0.1, line_width=(0.8, 1.2))
    config = LoaderConfig(32, render=RenderConfig(32, framing="centred"), augmentation=amounts, seed=3)
    batches = zip(Loader(split, config).epoch(1), CarryingLoader(split, config, length).epoch(1), strict=True)
    for one, other in batches:
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels["label"])
        np.testing.assert_array_equal(one.rows, other.labels["row"])
        assert other.labels["sequence"].shape == ((32, 16, 6) if length else (32, 0))
    if length:
        drawings = split.read_rows(other.rows)
        changed = augment(drawings, other.rows, amounts, seed=3, epoch=1, margin=config.render.margin)
        again = sequences_of(changed.x, changed.y, changed.stroke_end, changed.drawing_end, length)
        np.testing.assert_array_equal(other.labels["sequence"], again)
