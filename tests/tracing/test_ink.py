"""What is ink in photographs and scans."""

import numpy as np
import pytest
from scipy import ndimage

from pipeline.arrays import UInt8Array
from pipeline.tracing.ink import find_ink, otsu_threshold
from tests.tracing.pictures import lined

SHARP = lined([(40, 60), (300, 60), (300, 250)], [(80, 250), (200, 120)], size=(360, 320), width=8)


def photograph(seed: int, ink: float = 0.2, paper: float = 0.75) -> UInt8Array:
    """`SHARP` in light from a side, with darker corners, blurred and with noise."""
    dice = np.random.default_rng(seed)
    levels = ndimage.gaussian_filter(np.asarray(SHARP) / 255, 1)
    y, x = np.mgrid[0 : levels.shape[0], 0 : levels.shape[1]] / levels.shape[1] - 0.5
    turn = dice.uniform(0, 2 * np.pi)
    light = (1 + 0.6 * (x * np.cos(turn) + y * np.sin(turn))) * (1 - 0.7 * (x**2 + y**2))
    seen = light * (ink + (paper - ink) * levels) + dice.normal(0, 0.04, levels.shape)
    return np.clip(np.rint(255 * seen), 0, 255).astype(np.uint8)[..., None]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("ink", "paper"), [(0.2, 0.75), (0.85, 0.3)])
def test_uneven_light_and_noise_leave_the_lines_as_they_are(seed: int, ink: float, paper: float) -> None:
    true, found = np.asarray(SHARP) < 128, find_ink(photograph(seed, ink, paper))
    assert (found & true).sum() / (found | true).sum() > 0.8
    assert not (found & (ndimage.distance_transform_edt(~true) > 4)).any()


def test_specks_and_pinholes_are_removed_and_dots_stay() -> None:
    image = lined([(20, 40), (180, 40)], [(100, 100), (100, 100)], width=10)
    image.putpixel((60, 150), 0)
    image.putpixel((100, 40), 255)
    ink = find_ink(np.asarray(image)[..., None])
    assert not ink[150, 60]
    assert ink[40, 100]
    assert ink[100, 100]


def test_the_threshold_lies_in_the_middle_between_two_levels() -> None:
    levels = np.array([[10] * 9 + [210]], np.float32)
    assert 100 < otsu_threshold(levels) < 120


def test_a_large_dark_area_of_a_clean_picture_is_ink_as_a_whole() -> None:
    levels = np.full((200, 200, 1), 255, np.uint8)
    levels[30:170, 30:170] = 0
    assert find_ink(levels).sum() == 140**2
