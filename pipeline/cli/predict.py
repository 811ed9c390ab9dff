"""`sketchpipe predict`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.compute.choices import Device

if TYPE_CHECKING:
    from model.runs.folder import Run
    from pipeline.drawings import Drawings

ALL_LABELS = 30  # up to so many classes a terminal shows every label


def predict(
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE", help="ndjson files; - reads stdin.")] = None,
    random: Annotated[bool, typer.Option("--random", help="Take a random drawing of the test split.")] = False,
    run: Annotated[Path | None, typer.Option(help="Folder of the run; the newest by default.")] = None,
    shards: Annotated[Path | None, typer.Option(help="Shards for --random; the run's own by default.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of --random; a new one each time by default.")] = None,
    top: Annotated[str | None, typer.Option(metavar="N|all", help="How many labels to show.")] = None,
    image: Annotated[
        Path | None, typer.Option(help="PNG file for the (first) drawing; image.png with --random.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="PNG file for a chart of the (first) drawing and its probabilities.")
    ] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Average with each drawing's mirror image: more accurate, twice as slow.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each drawing.")] = False,
    device: Annotated[Device, typer.Option(help="Device to compute on; auto takes GPUs if there are any.")] = "auto",
) -> None:
    """Name drawings: every label with its probability.

    Reads the run's best checkpoint, and drawings from ndjson or, with --random, from the shards' test split; writes to
    stdout and, with --random, the drawing to image.png. --plot shows every class of up to 10, otherwise the 10 likeliest
    or as many as --top says.

    Example: sketchpipe predict --random --seed 7 --plot plot.png
    """
    import numpy as np

    from model.compute.devices import choose_devices
    from model.scoring.loaded import load_run
    from model.scoring.predict import Predictor
    from pipeline.cli.evaluate import chosen_run, tell_temperature
    from pipeline.cli.options import say
    from pipeline.errors import UsageError
    from pipeline.pictures.sheet import write_png

    if random == bool(files):
        raise UsageError("give FILEs (or -) with drawings, or --random for one of the test split")
    if shards is not None and not random:
        raise UsageError("--shards goes with --random")
    shown = _labels_shown(top)
    chosen = chosen_run(run)
    if random:
        parts = iter([_random_drawing(chosen, shards or chosen.shards_folder(), seed)])
        image = image or Path("image.png")
    else:
        parts = _read_drawings(files or [])
    _check_pictures(image, plot)
    choose_devices(device)
    loaded = load_run(chosen)
    tell_temperature(loaded)
    predictor = Predictor(loaded, mirror)
    first = None
    for drawings in parts:  # a chunk at a time, so that a file of any size can be named
        images = predictor.images(drawings)
        found = predictor.of_drawings(drawings, images)
        if first is None and len(drawings):
            first = drawings.take(np.array([0])), images[0].copy(), found[0]
        for k, probabilities in enumerate(found):
            true = drawings.words[drawings.word[k]]
            _print(_describe(chosen.config.classes, probabilities, true, int(drawings.key_id[k])), shown, as_json)
    if first is not None and image is not None:
        write_png(image, first[1])
        say(f"drawing: {image}")
    if first is not None and plot is not None:
        from model.charts.prediction import plot_prediction
        from model.charts.style import write_chart

        write_chart(plot, plot_prediction(first[0], chosen.config, first[2], shown))
        say(f"plot: {plot}")


def _labels_shown(top: str | None) -> int | None:
    """How many labels to show; None shows what suits the number of classes."""
    from pipeline.errors import UsageError

    if top is None:
        return None
    if top == "all":
        return 1 << 30
    if not top.isdecimal() or int(top) < 1:
        raise UsageError(f'top "{top}": expected a number from 1, or all')
    return int(top)


def _check_pictures(image: Path | None, plot: Path | None) -> None:
    """Make sure, before there is anything to show, that the two files can be written."""
    import os

    from pipeline.errors import UsageError
    from pipeline.pictures.sheet import check_picture_path

    for path in (image, plot):
        if path is not None:
            check_picture_path(path, ".png")
    if plot is not None and image is not None and os.path.realpath(plot) == os.path.realpath(image):
        raise UsageError(f"--plot {plot}: the drawing itself goes there; choose another name")


def _random_drawing(run: "Run", folder: Path, seed: int | None) -> "Drawings":
    import random

    import numpy as np

    from model.scoring.evaluate import check_splits
    from pipeline.shards.read import open_split

    split = open_split(folder, "test")
    check_splits(run, split.manifest, folder)
    return split.read_rows(np.array([random.Random(seed).randrange(len(split))]))


def _read_drawings(files: list[str]) -> Iterator["Drawings"]:
    """The drawings of files, a chunk at a time; a bad line is said and left out."""
    import shutil
    import sys
    import tempfile

    from pipeline.cli.options import say
    from pipeline.errors import InputError
    from pipeline.sources.files import Source
    from pipeline.sources.readers import read_source, scan_source

    found = False
    for name in files:
        called = "stdin" if name == "-" else name
        if name != "-" and not Path(name).is_file():
            raise InputError(f"{name}: {'a folder, not a file' if Path(name).is_dir() else 'no such file'}")
        with tempfile.NamedTemporaryFile() as copy:
            if name == "-":
                shutil.copyfileobj(sys.stdin.buffer, copy)
                copy.flush()
            lines, source = 0, Source(Path(copy.name if name == "-" else name), called, None)
            for chunk in read_source(source):
                scanned = scan_source(source, chunk)
                for reject in scanned.rejects(called, lines):
                    say(f"{reject}; left out")
                lines += scanned.lines
                if len(scanned.drawings):
                    found = True
                    yield scanned.drawings
    if not found:
        names = ", ".join("stdin" if name == "-" else name for name in files)
        raise InputError(f"{names}: no drawing to name; expected ndjson with a word and a drawing a line")


def _describe(classes: tuple[str, ...], probabilities: Any, true: str, key_id: int) -> dict[str, Any]:
    order = (-probabilities).argsort(kind="stable")
    best = int(order[0])
    return {
        "drew": true,
        "predicted": classes[best],
        "probability": float(probabilities[best]),
        "key_id": key_id,
        "labels": {classes[k]: float(probabilities[k]) for k in order.tolist()},
    }


def _print(described: dict[str, Any], shown: int | None, as_json: bool) -> None:
    import json
    import os
    import sys

    if as_json:
        typer.echo(json.dumps(described, ensure_ascii=False))
        return
    labels = list(described["labels"].items())
    terminal = sys.stdout.isatty()
    count = shown or (10 if terminal and len(labels) > ALL_LABELS else len(labels))
    width = max(len(word) for word, _ in labels)
    for word, probability in labels[:count]:
        mark = "  <- drawn" if word == described["drew"] else ""
        line = f"{word:<{width}}  {probability:7.2%}{mark}"
        green = terminal and word == described["predicted"] and not os.environ.get("NO_COLOR")
        typer.echo(typer.style(line, fg=typer.colors.GREEN, bold=True) if green else line)
    if count < len(labels):
        typer.echo(f"... and {len(labels) - count} more (--top all)")
    percent = f"{100 * described['probability']:.1f} %"
    typer.echo(f'drew "{described["drew"]}", predicted "{described["predicted"]}" ({percent})')
