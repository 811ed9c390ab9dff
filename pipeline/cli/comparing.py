"""What `sketchpipe sweep` and `sketchpipe runs` tell of runs: tables, JSON and curves."""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from model.runs.comparison import Setting, differing, ranked, standard_error, value_texts
from model.runs.overview import RunSummary, number
from pipeline.cli.options import say
from pipeline.cli.tables import comparison_table, grid, list_table, percent, seeds_table, sweep_table
from pipeline.wording import counted

_SHOWN = ("network", "encoding", "framing", "lr", "batch", "seed")  # of a sweep; epochs stand among the scores


def tell_sweep(
    runs: Sequence[RunSummary],
    swept: Mapping[str, Sequence[Any]],
    shards: Path,
    picture: Path,
    *,
    test: bool,
    as_json: bool,
) -> None:
    """Tell of a sweep whose runs are done.

    Args:
        runs: in the order of the sweep.
        swept: the settings that take several values, and these.
        shards: folder that the runs were trained on.
        picture: for the curves.
        test: whether to score the best setting on the test split.
        as_json: whether as one JSON object.
    """
    settings = ranked(runs, list(swept))
    best = settings[0] if settings[0].mean is not None else None
    scores = _test_scores(best, shards) if test and best is not None else None
    if as_json:
        typer.echo(_dump({
            "shards": str(shards),
            "swept": swept,
            "runs": [_as_dict(run, _SHOWN) for one in settings for run in one.runs],
            "best": best and {"values": best.values, "validation_top1": best.mean,
                              "runs": [str(run.folder) for run in best.runs]},
            "test": scores,
        }))  # fmt: skip
    else:
        _print_sweep(settings, swept, scores)
    draw_curves(runs, {name: [run.settings.get(name) for run in runs] for name in swept}, picture)
    if best is not None:  # the newest run, which the other commands take, is the last one trained
        say(f"next: sketchpipe evaluate --run {best.runs[0].folder}, sketchpipe runs")


def tell_runs(runs: Sequence[RunSummary], *, compare: bool, as_json: bool) -> None:
    """List runs, or tell in what they differ."""
    differ = differing(runs) if compare else {}
    if as_json:
        listed = {"runs": [_as_dict(run, ()) for run in runs]}
        typer.echo(_dump({"differ": differ, **listed} if compare else listed))
    elif compare:
        typer.echo(comparison_table(runs))
        if len(runs) > 1 and not differ:
            say("no setting differs")
    else:
        typer.echo(list_table(runs))
    if len({run.shards_checksum for run in runs if run.shards_checksum}) > 1 and compare:
        say("their shards differ, and so do the validation drawings that they were scored on")


def draw_curves(runs: Sequence[RunSummary], differ: Mapping[str, Sequence[Any]], picture: Path) -> None:
    """Write the curves of runs to a PNG file, and say so."""
    if importlib.util.find_spec("matplotlib") is None:
        say(f"{picture}: not drawn, matplotlib is not installed")
        return
    from model.charts.curves import curves_figure
    from model.charts.style import write_chart

    write_chart(picture, curves_figure(runs, differ))
    say(f"{picture}: the curves")


def _print_sweep(
    settings: Sequence[Setting], swept: Mapping[str, Sequence[Any]], scores: Sequence[Mapping[str, Any]] | None
) -> None:
    shown = [name for name in _SHOWN if name in swept or name in ("lr", "batch")]
    parts = [sweep_table(settings, shown)]
    if "seed" in swept:
        parts.append(seeds_table(settings))
    axes = [(name, swept[name]) for name in (*_SHOWN, "epochs") if name in swept and name != "seed"]
    if len(axes) == 2:
        parts.append("validation top-1\n" + grid(settings, *axes))
    best = settings[0]
    if best.mean is None:
        parts.append("no run came to its end")
    else:
        parts.append(_best_text(settings))
    if scores is not None:
        parts.append(_test_text(scores))
    typer.echo("\n\n".join(parts))


def _test_text(scores: Sequence[Mapping[str, Any]]) -> str:
    mean = sum(one["top1"] for one in scores) / len(scores)
    text = f"test: top-1 {percent(mean)} on {scores[0]['drawings']:,} drawings"
    if len(scores) == 1:
        return f"{text} ({scores[0]['run']})"
    each = ", ".join(f"{percent(one['top1'])} ({one['run']})" for one in scores)
    return f"{text}, the mean of {each}"


def _best_text(settings: Sequence[Setting]) -> str:
    """The best setting, and how many others its validation split cannot tell from it."""
    best = settings[0]
    assert best.mean is not None
    texts = {name: value_texts([one.values[name] for one in settings])[0] for name in best.values}
    values = ", ".join(f"{name} {text}" for name, text in texts.items()) or str(best.runs[0].folder)
    text = f"best: {values}: validation top-1 {percent(best.mean)}"
    drawings = number(best.runs[0].epochs[-1], "validation_drawings")
    if drawings is None or drawings < 1:
        return text
    error = standard_error(best.mean, drawings)
    near = sum(one.mean is not None and one.mean >= best.mean - error for one in settings[1:])
    others = f"; {counted(near, 'other setting')} within it" if near else ""
    return f"{text} on {drawings:,.0f} drawings, standard error {100 * error:.1f} points{others}"


def _test_scores(best: Setting, shards: Path) -> list[dict[str, Any]]:
    from model.runs.folder import open_run
    from model.scoring.evaluate import evaluate_run
    from model.scoring.loaded import load_run

    scores = [(run, evaluate_run(load_run(open_run(run.folder)), shards, "test").as_dict()) for run in best.runs]
    return [{"run": str(run.folder), **one} for run, one in scores]


def _as_dict(run: RunSummary, names: Sequence[str]) -> dict[str, Any]:
    return {**{name: run.settings.get(name) for name in names}, **run.as_dict()}


def _dump(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False, indent=1)
