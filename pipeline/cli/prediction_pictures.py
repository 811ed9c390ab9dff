"""The pictures that `sketchpipe predict` writes: which files they go to, and never over a file that is not its own."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.options import say
from pipeline.errors import OutputError, UsageError
from pipeline.pictures.png import encode_png, software_mark
from pipeline.storage.outputs import check_own, check_picture_path, write_output

if TYPE_CHECKING:
    from model.config import TrainConfig
    from pipeline.arrays import UInt8Array
    from pipeline.drawings import Drawings

USUAL_IMAGE = Path("image.png")
MAKER = "sketchpipe predict"  # what the pictures name as the software that made them


@dataclass(frozen=True)
class Pictures:
    """The files to write.

    Attributes:
        image: for the drawing; None writes none.
        plot: for the chart; None writes none.
        is_usual: whether `image` was not named by the user, so that it is no error if it cannot be written.
    """

    image: Path | None
    plot: Path | None
    is_usual: bool


def choose_pictures(image: Path | None, plot: Path | None, *, random: bool) -> Pictures:
    """Choose the files for pictures, and check them before anything is predicted.

    With `random` the drawing goes to `image.png` if no file is named and that one can be written; if not, a message
    says why, and no drawing is written.

    Raises:
        OutputError: a file that was named cannot be written, or is there and was not written by `predict`.
        UsageError: the name of one ends in the suffix of another format, or both are the same file.
    """
    is_usual = random and image is None
    image = USUAL_IMAGE if is_usual else image
    if plot is not None and image is not None and os.path.realpath(plot) == os.path.realpath(image):
        raise UsageError(f"--plot {plot}: the drawing is written to that file; choose another name")
    pictures = Pictures(image, plot, is_usual)
    try:
        if image is not None:
            _check(image)
    except OutputError as error:
        pictures = _without_usual(pictures, error)
    if plot is not None:
        _check(plot)
    return pictures


def write_pictures(
    pictures: Pictures,
    drawing: "Drawings",
    image: "UInt8Array",
    probabilities: Any,
    config: "TrainConfig",
    shown: int | None,
) -> None:
    """Write the pictures of one prediction.

    Args:
        pictures: the files.
        drawing: one drawing.
        image: (H, W, C) uint8, the drawing as the network sees it.
        probabilities: (K,) float32, the probabilities of the run's classes.
        config: the run's configuration.
        shown: how many classes the chart shows; None takes its default.

    Raises:
        OutputError: a file that the user named cannot be written.
    """
    from pipeline.pictures.enlarged import beside_enlarged

    if pictures.image is not None:
        picture = beside_enlarged(drawing, image, config.render_config())
        try:
            _write(pictures.image, encode_png(picture, MAKER))
            say(f"drawing: {pictures.image}")
        except OutputError as error:
            _without_usual(pictures, error)
    if pictures.plot is not None:
        from model.charts.prediction import plot_prediction
        from model.charts.style import as_png

        _write(pictures.plot, as_png(plot_prediction(drawing, config, probabilities, shown), MAKER))
        say(f"plot: {pictures.plot}")


def _without_usual(pictures: Pictures, error: OutputError) -> Pictures:
    """Say that the drawing is not written; raise the error if the user named the file."""
    if not pictures.is_usual:
        raise error
    say(f"the drawing is not written: {error} (--image)")
    return replace(pictures, image=None)


def _check(path: Path) -> None:
    check_picture_path(path, ".png")
    check_own(path, software_mark(MAKER), MAKER)


def _write(path: Path, content: bytes) -> None:
    _check(path)  # somebody may have made a file there meanwhile
    write_output(path, content)
