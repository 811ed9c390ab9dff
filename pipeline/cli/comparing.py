"""Prints runs as tables or JSON and draws their curves, for `sketchpipe sweep` and `sketchpipe runs`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.runs.comparison import best_of, differing, ranked, sweep_dict
from model.runs.overview import RunSummary
from model.runs.tables import runs_table, sweep_lines
from pipeline.cli.options import say, show, show_json


def tell_sweep(
    runs: Sequence[RunSummary],
    swept: Mapping[str, Sequence[Any]],
    shards: Path,
    picture: Path,
    *,
    test: bool,
    as_json: bool,
) -> None:
    """Print the results of a sweep, and draw its curves.

    Args:
        runs: the runs, in the order of the sweep.
        swept: the settings with several values, and their values.
        shards: the folder of shards that the runs were trained on.
        picture: the file for the curves.
        test: whether to score the best setting on the test split.
        as_json: whether to print one JSON object.
    """
    settings = ranked(runs, list(swept))
    best = best_of(settings)
    scores = None
    if test and best is not None:
        from model.training.sweep import scores_on_test

        scores = scores_on_test(best, shards)
    if as_json:
        show_json({"shards": str(shards), **sweep_dict(settings, swept), "test": scores})
    else:
        show(*sweep_lines(settings, swept, scores))
    draw_curves(runs, {name: [run.settings.get(name) for run in runs] for name in swept}, picture)
    if best is not None:  # by default other commands use the run that saved a checkpoint last
        say(f"next: sketchpipe evaluate --run {best.runs[0].folder}, sketchpipe runs")


def tell_runs(runs: Sequence[RunSummary], *, compare: bool, as_json: bool) -> None:
    """Print a list of runs, or a comparison with the settings in which they differ."""
    differ = differing(runs) if compare else None
    if as_json:
        listed = {"runs": [run.as_dict() for run in runs]}
        show_json(listed if differ is None else {"differ": differ, **listed})
    else:
        show(*runs_table(runs, differ))
        if differ == {}:
            say("no setting differs")
    if len({run.shards_checksum for run in runs if run.shards_checksum}) > 1 and compare:
        say("their shards differ, and so do the validation drawings that they were scored on")


def draw_curves(runs: Sequence[RunSummary], differ: Mapping[str, Sequence[Any]], picture: Path) -> None:
    """Draw the curves of runs, and print the name of the file on stderr."""
    from model.charts.curves import curves_figure
    from model.charts.style import write_chart

    write_chart(picture, curves_figure(runs, differ))
    say(f"{picture}: the curves")
