"""Renders the HTML page of a report, which loads no other file."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from model.report.analysis import (
    SURE,
    TINY,
    by_strokes,
    class_table,
    most_confident_mistakes,
    most_confused_pairs,
    suspects,
)
from model.report.early import early_for_page
from model.report.figures import reliability_chart, stroke_bin, strokes_chart
from model.report.gallery import pictures_of, read_drawings
from model.report.matrix import matrix_for_page
from model.report.outputs import Outputs
from model.report.prefixes import predict_prefixes, sample_of
from model.scoring.metrics import Scores, wilson
from model.scoring.predict import Predictor
from model.scoring.reliability import BINS, Reliability, reliability
from pipeline.arrays import Int64Array
from pipeline.pictures.names import safe_name
from pipeline.progress import Progress, untold
from pipeline.wording import visible

SHOWN = 24  # drawings in a gallery
LISTED = 200  # suspected labels that are listed with their key_id
PAIRS = 12  # pairs of classes
_DRAWINGS_OF_PAIR = 2  # drawings in each direction of a pair
_Pictures = dict[int, dict[str, Any]]


def make_page(
    described: Mapping[str, Any],
    scores: Scores,
    outputs: Outputs,
    predictor: Predictor,
    progress: Progress = untold,
) -> str:
    """The HTML text of the page.

    Args:
        described: what the page says of the run and the shards: `facts`, names and values in words; `notes`, warnings
            about the scores; the `attribution` of the drawings; whether they are `synthetic`; and `trained_on`, the
            words to put before "on some of these drawings", or None if the run was not trained on any of them.
        scores: the scores of the drawings, as `evaluate` prints them.
        outputs: the predictions for the drawings.
        predictor: the run's predictor, which predicts unfinished drawings.
        progress: counts the images of unfinished drawings.

    Raises:
        ShardError: the shards are damaged.
    """
    classes, confusion = tuple(map(printable, scores.classes)), scores.confusion
    lists = _lists(outputs, confusion, len(classes))
    render_config = predictor.run.config.render_config()
    pictures = pictures_of(outputs, np.concatenate([lists.shown, *lists.pairs.values()]), classes, render_config)
    chosen = sample_of(outputs)
    prefixes = predict_prefixes(outputs, chosen, lambda some: read_drawings(outputs, some), predictor, progress)
    headline = _headline(scores)
    return template().render(
        title=f"{headline['top1']:.2%} predicted correctly, {len(classes)} classes: sketchpipe report",
        css=_text("page.css"),
        js=_text("page.js"),
        image_size=render_config.size,
        **described,
        temperature=predictor.loaded.temperature,
        headline=headline,
        calibration=_calibration(outputs, predictor.loaded.temperature),
        classes=_classes(confusion, outputs, classes),
        too_few=int((scores.drawings == 0).sum()),
        confusion=matrix_for_page(confusion, classes),
        pairs=_pairs(confusion, lists, pictures, classes),
        mistakes={"count": int((~outputs.right).sum()), "pictures": _some(lists.mistakes, pictures)},
        unsure=_some(lists.unsure, pictures),
        sure=SURE,
        tiny=TINY,
        suspected=_suspected(lists.suspects, outputs, pictures, classes),
        strokes=_strokes(outputs),
        early=early_for_page(outputs, prefixes, predictor, classes),
    )


@dataclass(frozen=True)
class _Lists:
    """The drawings of a page, as places in the outputs; those of `pairs` are under their pair of classes."""

    mistakes: Int64Array
    unsure: Int64Array
    suspects: Int64Array
    pairs: dict[tuple[int, int], Int64Array]

    @property
    def shown(self) -> Int64Array:
        return np.concatenate([self.mistakes[:SHOWN], self.unsure[:SHOWN], self.suspects[:SHOWN]])


def _lists(outputs: Outputs, confusion: Int64Array, classes: int) -> _Lists:
    mistakes = most_confident_mistakes(~outputs.right, outputs.confidence, outputs.of_true)
    label, best = outputs.label[mistakes], outputs.best[mistakes]
    pairs = {}
    for first, second in most_confused_pairs(confusion, PAIRS):
        there, back = (mistakes[(label == a) & (best == b)] for a, b in ((first, second), (second, first)))
        pairs[first, second] = np.concatenate([there[:_DRAWINGS_OF_PAIR], back[:_DRAWINGS_OF_PAIR]])
    found = suspects(outputs.label, outputs.best, outputs.confidence, outputs.of_true, classes)
    return _Lists(mistakes, np.argsort(outputs.confidence, kind="stable"), found, pairs)


def _some(places: Int64Array, pictures: _Pictures) -> list[dict[str, Any]]:
    return [pictures[place] for place in places[:SHOWN].tolist()]


def _headline(scores: Scores) -> dict[str, Any]:
    right, count = int(scores.right.sum()), int(scores.drawings.sum())
    found = scores.as_dict()
    low, high = scores.interval
    return {
        "top1": found["top1"], "top3": found["top3"], "map3": found["map3"], "balanced": found["balanced_top1"],
        "right": right, "drawings": count, "low": low, "high": high,
    }  # fmt: skip


def _calibration(outputs: Outputs, temperature: float) -> dict[str, Any]:
    found = reliability(outputs.confidence, outputs.right)
    plain = reliability(outputs.plain, outputs.right) if temperature != 1 else None
    low, high = wilson(found.right, found.drawings)
    rows = [
        {"bin": f"{k / BINS:.0%} to {(k + 1) / BINS:.0%}", **_row(found, k, low[k], high[k])} for k in range(BINS)
    ]  # fmt: skip
    return {
        "ece": found.ece,
        "sure": found.mean_confidence,
        "plain_ece": None if plain is None else plain.ece,
        "rows": rows,
        "chart": Markup(reliability_chart(found, plain)),
    }


def _row(found: Reliability, k: int, low: float, high: float) -> dict[str, Any]:
    count = max(int(found.drawings[k]), 1)
    return {
        "drawings": int(found.drawings[k]), "sure": found.confidence[k] / count, "share": found.right[k] / count,
        "low": low, "high": high,
    }  # fmt: skip


def _classes(confusion: Int64Array, outputs: Outputs, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of the table, by increasing accuracy, then by decreasing drawings; those without drawings come last."""
    table = class_table(confusion, outputs.label, outputs.rank)
    low, high = wilson(table["right"], table["drawings"])
    share = np.where(table["drawings"] > 0, table["right"] / np.maximum(table["drawings"], 1), 2.0)
    return [
        {
            "word": classes[k],
            "drawings": int(table["drawings"][k]),
            "top1": float(share[k]),
            "low": float(low[k]),
            "high": float(high[k]),
            "top3": int(table["in_top3"][k]) / max(int(table["drawings"][k]), 1),
            "precision": int(table["right"][k]) / int(table["named"][k]) if table["named"][k] else None,
            "confused": classes[table["confused"][k]] if table["confusions"][k] else None,
            "confusions": int(table["confusions"][k]),
        }
        for k in np.lexsort((-table["drawings"], share)).tolist()
    ]


def _pairs(confusion: Int64Array, lists: _Lists, pictures: _Pictures, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    drawings = confusion.sum(axis=1).tolist()
    return [
        {
            "id": f"pair-{a}-{b}", "first": classes[a], "second": classes[b],
            "there": int(confusion[a, b]), "back": int(confusion[b, a]),
            "first_drawings": drawings[a], "second_drawings": drawings[b], "pictures": _some(places, pictures),
        }
        for (a, b), places in lists.pairs.items()
    ]  # fmt: skip


def _suspected(places: Int64Array, outputs: Outputs, pictures: _Pictures, classes: tuple[str, ...]) -> dict[str, Any]:
    listed = places[:LISTED]
    key_ids = read_drawings(outputs, listed).key_id.tolist() if len(listed) else []
    rows = [
        {
            "key_id": key_id, "true": classes[outputs.label[place]], "predicted": classes[outputs.best[place]],
            "confidence": float(outputs.confidence[place]), "of_true": float(outputs.of_true[place]),
        }
        for place, key_id in zip(listed.tolist(), key_ids, strict=True)
    ]  # fmt: skip
    return {"count": len(places), "pictures": _some(places, pictures), "rows": rows}


def _strokes(outputs: Outputs) -> dict[str, Any]:
    rows = by_strokes(outputs.strokes, outputs.right)
    shown = []
    for fewest, most, count, right in rows:
        low, high = wilson(right, count)
        shown.append(
            {"bin": stroke_bin(fewest, most), "drawings": count, "share": right / count, "low": low, "high": high}
        )
    return {"rows": shown, "chart": Markup(strokes_chart(rows))}


def printable(word: str) -> str:
    r"""The word, or its `safe_name` if a character of it is invisible or would be changed by HTML.

    >>> printable("hot dog"), printable("a\0b\rc")
    ('hot dog', 'a%00b%0Dc')
    """
    return word if word.isprintable() else safe_name(word)


def _text(name: str) -> Markup:
    return Markup(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))


def template() -> jinja2.Template:
    """The template of the page, which escapes every word and path, for HTML and for a terminal."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, finalize=_shown
    )
    environment.filters |= {
        "number": lambda value: f"{value:,}",
        "pct": lambda share: f"{share:.1%}",
        "pct2": lambda share: f"{share:.2%}",
        "pct0": lambda share: f"{share:.0%}",
        "width": lambda share: f"{100 * share:.1f}%",
    }
    return environment.from_string(_text("page.html"))


def _shown(value: Any) -> Any:
    return visible(value) if type(value) is str else value  # not Markup, which holds lines
