"""Draws validation top-1 and training loss of runs by epoch, legible with many runs.

If runs differ in two settings, each value of the one has a panel and each value of the other a colour. Runs that
differ only in their seed share a panel and a colour.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from model.charts.style import COLOURS, GRAY, readable, styled
from model.runs.comparison import value_texts
from model.runs.overview import RunSummary, number, share

_ACROSS = 5  # the most panels in a row
_WIDTH, _HEIGHT, _MARGIN = 2.6, 2.1, 0.9  # of a panel's axes and of the space around them, inches
_LEGEND_ROW = 0.18  # inches
_ROOM = 1.4  # the end of the loss axis, at most, as a multiple of the loss of guessing
_FLOOR = 0.05  # the least end of an axis, because an axis cannot go from 0 to 0
_PLAIN = tuple(colour for colour in COLOURS if colour != "#F0E442")  # yellow lines are faint on white
_CROSS: dict[str, Any] = {"marker": "x", "markersize": 8, "markeredgewidth": 2, "linestyle": ""}


@dataclass(frozen=True)
class _Curve:
    """A run, the title of its panel, and the label and colour of its lines, which other panels may use too."""

    run: RunSummary
    panel: str
    label: str
    colour: Any


def curves_figure(runs: Sequence[RunSummary], differ: Mapping[str, Sequence[Any]]) -> Figure:
    """Draw both curves of each run.

    Args:
        runs: the runs.
        differ: the settings in which they differ, and each run's value.
    """
    curves, told_apart = _curves(runs, differ)
    panels = list(dict.fromkeys(curve.panel for curve in curves))
    down = math.ceil(len(panels) / _ACROSS)
    across = math.ceil(len(panels) / down)
    columns = 2 * across + 1  # of the legend
    rows = math.ceil(len({curve.label for curve in curves}) / columns)
    size = (max(4.4, _WIDTH * across + _MARGIN), 2 * down * _HEIGHT + _MARGIN + _LEGEND_ROW * rows)
    with styled(), mpl.rc_context({"text.parse_math": False}):  # a $ in a name is a $
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(2 * down, across, squeeze=False)
        pairs = [(axes[2 * row][column], axes[2 * row + 1][column]) for row in range(down) for column in range(across)]
        for (top1, loss), panel in zip(pairs, panels, strict=False):
            _draw(top1, loss, [curve for curve in curves if curve.panel == panel], _best(runs))
            top1.set_title(_shown(panel), fontsize="medium")
            loss.set_xlabel("epoch")
        for top1, loss in pairs[len(panels) :]:
            top1.set_visible(False)
            loss.set_visible(False)
        _scale(pairs, across, runs)
        title = told_apart and _shown(told_apart)
        figure.legend(handles=_legend(curves, _best(runs)), title=title, loc="outside upper center", ncols=columns)
    return figure


def _curves(runs: Sequence[RunSummary], differ: Mapping[str, Sequence[Any]]) -> tuple[list[_Curve], str | None]:
    """The curves, and the setting that their colours stand for; None if each run has a colour of its own."""
    texts = {name: value_texts(values) for name, values in differ.items() if name != "seed"}
    texts = {name: values for name, values in texts.items() if len(set(values)) > 1}
    panels, labels, told_apart = [""] * len(runs), [str(run.folder) for run in runs], None
    if texts:
        by_colour = min(texts, key=lambda name: (len(set(texts[name])), name != "lr"))
        others = [", ".join(f"{name} {texts[name][place]}" for name in texts if name != by_colour)
                  for place in range(len(runs))]  # fmt: skip
        if 2 * len(set(others)) <= len(runs):  # a grid, with two or more curves in a panel
            panels, labels, told_apart = others, texts[by_colour], by_colour
    colours = dict(zip(dict.fromkeys(labels), _colours(len(set(labels))), strict=True))
    places = zip(runs, panels, labels, strict=True)
    return [_Curve(run, panel, label, colours[label]) for run, panel, label in places], told_apart


def _colours(count: int) -> list[Any]:
    """Colours that colour-blind people can distinguish; for many curves, a scale from dark to light."""
    if count <= len(_PLAIN):
        return list(_PLAIN[:count])
    scale = mpl.colormaps["viridis"]
    return [scale(0.92 * place / (count - 1)) for place in range(count)]


def _shown(text: str) -> str:
    """A text of any length, with only characters that the font has."""
    return readable(text, math.inf)


def _best(runs: Sequence[RunSummary]) -> RunSummary | None:
    scored = [run for run in runs if run.best is not None and run.state != "diverged"]
    return max(scored, key=lambda run: run.best or (0.0, 0), default=None)


def _legend(curves: Sequence[_Curve], best: RunSummary | None) -> list[Line2D]:
    colours = {curve.label: curve.colour for curve in curves}
    handles = [
        Line2D([], [], color=colour, marker="o", markersize=3, label=_shown(label)) for label, colour in colours.items()
    ]
    if any(curve.run.state == "diverged" for curve in curves):
        handles.append(Line2D([], [], color=GRAY, linestyle="", marker="x", label="diverged"))
    if best is not None:
        handles.append(Line2D([], [], color=GRAY, linestyle="", marker="*", markersize=9, label="the best"))
    return handles


def _draw(top1: Axes, loss: Axes, curves: Sequence[_Curve], best: RunSummary | None) -> None:
    """Draw both curves of each run of a panel."""
    for curve in curves:
        for axes, name in ((top1, "validation_top1"), (loss, "train_loss")):
            epochs, values = _points(curve.run, name)
            axes.plot(epochs, values, color=curve.colour, marker="o", markersize=2.5 if len(values) < 20 else 0)
            if curve.run.state == "diverged":
                axes.plot(epochs[-1:], values[-1:], color=curve.colour, **_CROSS)
        if curve.run is best and best.best is not None:
            share, epoch = best.best
            top1.plot([epoch], [share], color=curve.colour, marker="*", markersize=11, zorder=3)
            top1.annotate(f"{share:.1%}", (epoch, share), textcoords="offset points", xytext=(0, 8), ha="center",
                          fontsize="small", annotation_clip=False)  # fmt: skip
    # A run that diverged in its first epoch has no point, so its cross is drawn where its curve would begin.
    lost = [curve for curve in curves if curve.run.state == "diverged" and not curve.run.epochs]
    for place, curve in enumerate(lost):
        top1.plot([0.05 + 0.08 * place], [0.06], color=curve.colour, transform=top1.transAxes, **_CROSS)


def _points(run: RunSummary, name: str) -> tuple[list[int], list[float]]:
    """The epochs, from 1, that have a value of that name, and their values."""
    read = share if name == "validation_top1" else number
    found = {line["epoch"] + 1: value for line in run.epochs if (value := read(line, name)) is not None}
    return list(found), list(found.values())


def _scale(pairs: Sequence[tuple[Axes, Axes]], across: int, runs: Sequence[RunSummary]) -> None:
    """Set the same axes for all panels: top-1 from 0, and losses up to `_ROOM` times the loss of guessing."""
    scores = [value for run in runs for value in _points(run, "validation_top1")[1]]
    losses = [value for run in runs for value in _points(run, "train_loss")[1]]
    classes = max((len(run.settings.get("classes", ())) for run in runs), default=0)
    epochs = max((run.epochs_done for run in runs), default=1)
    room = 0.5 if epochs < 10 else 1.0
    for place, (top1, loss) in enumerate(pairs):
        top1.set_ylim(0, max(_FLOOR, min(1.02, 1.15 * max(scores, default=1.0))))
        top1.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        for axes in (top1, loss):
            axes.set_xlim(1 - room, max(1, epochs) + room)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))
        top1.tick_params(labelbottom=False)
        loss.set_ylim(0, max(_FLOOR, min(1.05 * max(losses, default=1.0), _ROOM * math.log(max(2, classes)))))
        if place % across == 0:
            top1.set_ylabel("validation top-1")
            loss.set_ylabel("training loss")
        else:
            top1.tick_params(labelleft=False)
            loss.tick_params(labelleft=False)
