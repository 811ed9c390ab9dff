import numpy as np
import pytest

from pipeline.pictures.captions import PLAIN, RIGHT, WRONG, captioned_grid
from pipeline.pictures.matrix import matrix_picture

WHITE, BLUE, ORANGE = (255, 255, 255), (0, 114, 178), (213, 94, 0)


@pytest.mark.parametrize("classes", [2, 3, 10, 30, 345])
def test_a_matrix_shows_each_share_at_its_place(classes: int) -> None:
    confusion = np.eye(classes, dtype=np.int64) * 5
    confusion[0] = 0
    confusion[0, classes - 1] = 7
    words = [f"word {k}" for k in range(classes)]
    picture = matrix_picture(confusion, words)
    cell = max(2, min(36, 690 // classes))
    side = picture.shape[0] - 22 - classes * cell  # before the first cell: the words
    assert picture.shape == (picture.shape[0], picture.shape[0], 3)
    corners = side + np.arange(classes) * cell + 1  # beside a line, above a number
    cells = picture[corners[:, None], corners[None, :]]
    right, wrong = ((cells == colour).all(axis=2) for colour in (BLUE, ORANGE))
    assert ((right | wrong) == (confusion > 0)).all()
    assert wrong.sum() == wrong[0, classes - 1] == 1
    assert (cells[~(right | wrong)] == WHITE).all()


def test_every_cell_that_is_not_0_can_be_seen() -> None:
    dice = np.random.default_rng(1)
    confusion = dice.integers(0, 9, (35, 35)) * (dice.random((35, 35)) < 0.2)
    confusion[3] = 0
    confusion[4, :2] = 1, 10_000
    picture = matrix_picture(confusion, [f"class {k}" for k in range(35)])
    cell = 690 // 35
    corners = picture.shape[0] - 22 - 35 * cell + np.arange(35) * cell + 1
    shown = picture[corners[:, None], corners[None, :]].astype(int)
    np.testing.assert_array_equal((shown == 255).all(axis=2), confusion == 0)
    assert (shown.sum(axis=2)[confusion > 0] < 3 * 255 - 60).all()


def test_a_rare_confusion_is_darker_than_none_and_lighter_than_a_frequent_one() -> None:
    confusion = np.array([[97, 3, 0], [0, 70, 30], [0, 0, 0]])
    picture = matrix_picture(confusion, ("a", "b", "c"))
    side = picture.shape[0] - 22 - 3 * 36
    rare, none, frequent, unknown = (
        int(picture[side + row * 36 + 2, side + column * 36 + 2].sum())
        for row, column in ((0, 1), (0, 2), (1, 2), (2, 2))
    )
    assert none == unknown == 3 * 255
    assert frequent < rare < none


def test_a_grid_keeps_every_pixel_of_its_images() -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    grid = captioned_grid(images, [[("cat", PLAIN), ("90% dog", WRONG)], []] * 4)
    for image in images:
        corners = (grid == image[0, 0]).all(axis=2).nonzero()
        assert any(np.array_equal(grid[y : y + 64, x : x + 64], image) for y, x in zip(*corners, strict=True))


def test_what_is_right_is_green_and_what_is_wrong_is_red() -> None:
    images = np.zeros((1, 64, 64, 3), np.uint8)
    for colour, channel in ((RIGHT, 1), (WRONG, 0)):
        written = captioned_grid(images, [[("a word of very great length indeed", colour)]])[70:]
        brightest = written.reshape(-1, 3)[written.reshape(-1, 3).sum(axis=1).argmax()]
        assert brightest.argmax() == channel
        assert brightest[channel] > 120


def test_gray_images_and_words_in_any_script_are_shown() -> None:
    images = np.full((1, 16, 16, 1), 77, np.uint8)
    grid = captioned_grid(images, [[("猫" * 40, PLAIN)]])
    assert (grid == 77).all(axis=2).sum() == 16 * 16
    assert grid.shape[2] == 3
