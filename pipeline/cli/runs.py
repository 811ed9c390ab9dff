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
    damaged runs and runs of other formats. Runs that are named are compared: their scores, and the settings in which
    they differ.

    Reads what training recorded, such as the scores on the validation split, but no checkpoint; writes to stdout.

    Example: sketchpipe runs runs/001-sketchnet runs/002-sketchnet --curves curves.png
    """
    from model.runs.comparison import differing
    from model.runs.find import RUNS, find_runs, is_run, named_runs
    from model.runs.overview import summarize
    from pipeline.cli.comparing import draw_curves, tell_runs
    from pipeline.cli.options import say

    found = [summarize(folder) for folder in (named_runs(folders) if folders else find_runs())]
    if not found:
        say(f"{RUNS}/: no runs here; train one with `sketchpipe train --shards DIR`")
    compare = bool(folders) and len(found) > 1 and any(map(is_run, folders or ()))
    if found or as_json:
        tell_runs(found, compare=compare, as_json=as_json)
    if curves is not None and found:
        draw_curves(found, differing(found), curves)
