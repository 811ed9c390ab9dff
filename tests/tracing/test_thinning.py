"""Thinning against scikit-image's, which looks the same rules up in a table of its own."""

import numpy as np
import pytest
from skimage.morphology import thin as reference

from pipeline.tracing.thinning import thin


@pytest.mark.parametrize("seed", range(24))
def test_noise_is_thinned_as_scikit_image_does(seed: int) -> None:
    dice = np.random.default_rng(seed)
    ink = dice.random(dice.integers(1, 28, 2)) < dice.random()
    assert (thin(ink) == reference(ink)).all()


@pytest.mark.parametrize("seed", range(4))
def test_blobs_are_thinned_as_scikit_image_does(seed: int) -> None:
    coarse = np.random.default_rng(seed).random((9, 11)) < 0.5
    ink = np.kron(coarse, np.ones((5, 5), bool)) & np.kron(np.roll(coarse, 1), np.ones((5, 5), bool))
    assert (thin(ink) == reference(ink)).all()


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (1, 9), (9, 1)])
@pytest.mark.parametrize("full", [False, True])
def test_pictures_without_an_inside_are_thinned(shape: tuple[int, int], full: bool) -> None:
    ink = np.full(shape, full)
    assert (thin(ink) == (reference(ink) if ink.size else ink)).all()


def test_a_thick_line_becomes_one_pixel_thick_and_the_ink_stays() -> None:
    ink = np.zeros((15, 40), bool)
    ink[4:11, 3:37] = True
    thinned = thin(ink)
    assert thinned.sum(axis=0).max() == 1
    assert thinned[7, 10:30].all()
    assert ink.sum() == 7 * 34
