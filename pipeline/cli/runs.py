"""`sketchpipe runs`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.run_options import JsonOption


def runs(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN", help="Runs to compare, or folders of runs to list; runs/ by default."),
    ] = None,
    curves: Annotated[Path | None, typer.Option(help="PNG file for a chart of their curves.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List runs, or compare the runs that are named.

    The list is sorted by the numbers of the runs, the highest last; runs without a number come after them. It includes
    damaged runs and runs of other formats, and shows lr, batch and whatever else differs between runs of one network.
    Its last line is the network that comes with sketchpipe.
    Runs that are named are compared: their scores, and the settings in which they differ. Named files and folders
    without a run are passed over, so that runs/* can be given.

    Reads what training recorded, such as the scores on the validation split, but no checkpoint; writes to stdout.

    Example: sketchpipe runs runs/001-sketchnet runs/002-sketchnet --curves curves.png
    """
    from model.runs.comparison import differing
    from model.runs.find import RUNS, built_in_runs, find_runs, is_run, named_runs
    from model.runs.overview import summarize
    from model.runs.tables import built_in_line
    from pipeline.cli.comparing import draw_curves, tell_runs
    from pipeline.cli.options import few, say, show
    from pipeline.storage.outputs import check_picture_path

    if curves is not None:
        check_picture_path(curves, ".png")
    listed, others = named_runs(folders) if folders else (find_runs(), [])
    found = [summarize(folder) for folder in listed]
    built_in = [] if folders else [summarize(folder) for folder in built_in_runs()]
    if not found:
        say(f"{RUNS}/: no runs here; train one with `sketchpipe train --shards DIR`")
    compare = bool(folders) and len(found) > 1 and any(map(is_run, folders or ()))
    if found or as_json:
        tell_runs([*found, *built_in] if as_json else found, compare=compare, as_json=as_json)
    if not as_json:
        show(*map(built_in_line, built_in))
    if others:
        say(f"passed over, because no run is there: {few(list(map(str, others)))}")
    if curves is not None and found:
        draw_curves(found, differing(found), curves)
