"""`sketchpipe predict`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.run_options import DeviceOption, MirrorOption, RunOption

if TYPE_CHECKING:
    from model.scoring.predict import Prediction
    from pipeline.drawings import Drawings

MOST_REJECTS = 10  # that are said; the rest is counted
ALL_LABELS = 30  # the most classes of which a terminal shows every label


def predict(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help="Files of drawings, in any format that shards takes, and pictures (PNG, JPEG, WebP, SVG); - reads stdin.",
        ),
    ] = None,
    random: Annotated[bool, typer.Option("--random", help="Predict a random drawing of the test split.")] = False,
    run: RunOption = None,
    shards: Annotated[Path | None, typer.Option(help="Shards for --random; the run's own by default.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of --random; a new one each time by default.")] = None,
    top: Annotated[
        str | None,
        typer.Option(
            metavar="N|all",
            help="How many classes to show; by default all, but in a terminal 10 if there are more than 30.",
        ),
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option(help="PNG file for the (first) drawing; with --random image.png, unless that is a file of yours."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="PNG file for a chart of the (first) drawing and its probabilities.")
    ] = None,
    mirror: MirrorOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each drawing.")] = False,
    device: DeviceOption = "auto",
) -> None:
    """Predict drawings: every class with its probability.

    Reads the run's best checkpoint, and drawings from files or, with --random, from the shards' test split; writes to
    stdout and, with --random, the drawing to image.png. --image shows the drawing at 256 pixels and, to its right, the
    image that the network sees; --plot the 10 most probable classes, or as many as --top says. Only pictures that
    predict wrote are ever replaced. A line that cannot be used is reported and skipped; of more than ten lines the rest
    is counted.

    Pictures hold drawings of lines, dark on light or light on dark: PNG, JPEG and WebP are traced, and the mean of
    several guesses of order and direction of the strokes is printed; the paths of SVG are strokes. What is not a
    drawing of lines is traced all the same.

    Where no run has been trained, sketchnet-345 predicts, which comes with sketchpipe. It has no shards: --random
    without --shards takes a synthetic doodle of the built-in sample.

    Example: sketchpipe predict --random --seed 7 --plot plot.png
    """
    from pipeline.cli.evaluate import tell_temperature
    from pipeline.cli.options import say
    from pipeline.cli.prediction_pictures import choose_pictures, write_pictures
    from pipeline.cli.run_options import chosen_run
    from pipeline.errors import UsageError

    if random and files:
        raise UsageError(f"--random and {files[0]}: give FILEs or --random, not both")
    if not random and not files:
        raise UsageError("give FILEs (or -) with drawings, or --random for one of the test split")
    if shards is not None and not random:
        raise UsageError("--shards goes with --random")
    shown = _labels_shown(top)
    chosen = chosen_run(run, or_built_in=True)
    pictures = choose_pictures(image, plot, random=random)

    import numpy as np

    from model.compute.devices import choose_devices  # JAX, which takes a second, comes after what may be refused
    from model.scoring.loaded import load_best
    from model.scoring.predict import Predictor, random_drawing, sample_drawing
    from pipeline.tracing.read import Guesses

    if random and shards is None and chosen.about is not None:
        say("no shards are named: drawing a synthetic doodle of the built-in sample; --shards names shards")
        parts = iter([sample_drawing(chosen, seed)])
    elif random:
        parts = iter([random_drawing(chosen, shards or chosen.shards_folder(), seed)])
    else:
        parts = _read(files or [])
    choose_devices(device)
    loaded = load_best(chosen)
    tell_temperature(loaded)
    predictor = Predictor(loaded, mirror)
    first = None
    for drawings in parts:  # a chunk at a time, so that a file may have any size
        images = predictor.images(drawings)
        found = predictor.predict(drawings, images)
        if isinstance(drawings, Guesses):  # of one drawing
            drawings, found = drawings[:1], found.mean(axis=0, keepdims=True)
        if first is None and len(drawings):
            first = drawings.take(np.array([0])), images[0].copy(), found[0]
        for prediction in predictor.predictions(drawings, found):
            _print(prediction, shown, as_json)
    if first is not None:
        write_pictures(pictures, *first, chosen.config, shown)


def _read(files: list[str]) -> Iterator["Drawings"]:
    """The drawings of files; the first rejects are said when they are found, and how many more there are at the end."""
    from functools import partial

    from pipeline.cli.options import say
    from pipeline.sources.read import read_named
    from pipeline.tracing.read import read_picture
    from pipeline.wording import counted

    rejected = 0

    def note(reject: object) -> None:
        nonlocal rejected
        rejected += 1
        if rejected <= MOST_REJECTS:
            say(f"{reject}; skipped")

    try:
        yield from read_named(files, note, partial(read_picture, tell=say))
    finally:
        if rejected > MOST_REJECTS:
            say(f"{counted(rejected - MOST_REJECTS, 'more line')} skipped")


def _labels_shown(top: str | None) -> int | None:
    """How many classes to show; None chooses by the number of classes."""
    import re

    from pipeline.errors import UsageError

    if top is None:
        return None
    if top == "all":
        return 1 << 30
    if not re.fullmatch(r"0*[1-9][0-9]{0,17}", top):
        raise UsageError(f'top "{top:.60}": expected a number from 1, or all')
    return int(top)


def _print(prediction: "Prediction", shown: int | None, as_json: bool) -> None:
    import os
    import sys

    from pipeline.cli.options import show, show_json
    from pipeline.wording import aligned, columns_of

    if as_json:
        show_json(prediction.as_dict(), indent=None)
        return
    labels = list(prediction.labels.items())
    terminal = sys.stdout.isatty()
    count = shown or (10 if terminal and len(labels) > ALL_LABELS else len(labels))
    width = max(columns_of(word) for word, _ in labels)
    for word, probability in labels[:count]:
        mark = "  <- drawn" if word == prediction.drew else ""
        line = f"{aligned(word, width)}  {probability:7.2%}{mark}"
        green = terminal and word == prediction.predicted and not os.environ.get("NO_COLOR")
        show(line, green=green)
    if count < len(labels):
        show(f"... and {len(labels) - count} more (--top all)")
    percent = f"{100 * prediction.probability:.1f} %"
    drew = "" if prediction.drew is None else f'drew "{prediction.drew}", '
    show(f'{drew}predicted "{prediction.predicted}" ({percent})')
