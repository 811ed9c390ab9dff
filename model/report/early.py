"""How early a drawing can be guessed, for the page."""

from typing import Any

import numpy as np
from markupsafe import Markup

from model.report.analysis import first_right
from model.report.figures import prefix_chart
from model.report.gallery import data_uri, read_drawings
from model.report.outputs import Outputs
from model.report.prefixes import PARTS, Prefixes, images_of
from model.scoring.metrics import wilson
from model.scoring.predict import Predictor

_STRIPS = 4
_FRAMED = {
    "centred": "is put into the middle at the size of a whole drawing",
    "corner": "takes the corner and the size of the whole drawing, as Google would align it",
}


def early_for_page(
    outputs: Outputs, prefixes: Prefixes, predictor: Predictor, classes: tuple[str, ...]
) -> dict[str, Any]:
    """What the template shows of the prefixes of drawings."""
    count = len(prefixes.chosen)
    right = prefixes.rank == 0
    top1, top3 = right.sum(axis=1), (prefixes.rank < 3).sum(axis=1)
    first = first_right(right)
    settled = np.array([(first <= part).mean() for part in range(PARTS)])
    low, high = wilson(top1, np.full(PARTS, count))
    of_all = "" if count == len(outputs) else f", drawn by chance from the {len(outputs):,}"
    config = predictor.run.config
    augmentation = config.augmentation()
    cut = augmentation.prefix if augmentation is not None else 0.0
    enough = np.flatnonzero(settled >= 0.5)
    half = f"From {100 * (enough[0] + 1) // PARTS}% on, half of them are named right to the end." if len(enough) else ""
    return {
        "told": f"{'all ' if not of_all else ''}{count:,} drawings{of_all}",
        "half": half,
        "framing": _FRAMED[config.framing] + ", as in training",
        "trained": f"It was trained on unfinished drawings too ({cut:.0%} of them were cut)."
        if cut
        else "It was trained on whole drawings only: train with --augment prefix=0.3 for one that guesses earlier.",
        "rows": [
            {
                "percent": 100 * (k + 1) // PARTS, "share": top1[k] / count, "low": low[k], "high": high[k],
                "top3": top3[k] / count, "settled": settled[k],
            }
            for k in range(PARTS)
        ],
        "chart": Markup(prefix_chart(top1, top3, settled, count)),
        "strips": _strips(outputs, prefixes, predictor, classes),
    }  # fmt: skip


def _strips(
    outputs: Outputs, prefixes: Prefixes, predictor: Predictor, classes: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Some drawings of the sample, each of another class and named right in the end, from their first tenth on."""
    labels = outputs.label[prefixes.chosen]
    right = prefixes.rank == 0
    whole = np.flatnonzero(right[-1])
    _, firsts = np.unique(labels[whole], return_index=True)
    spread = np.sort(whole[firsts])
    some = spread[:: max(1, len(spread) // _STRIPS)][:_STRIPS]
    if not len(some):
        return []
    drawings = read_drawings(outputs, prefixes.chosen[some])
    images = [images_of(drawings, part, predictor) for part in range(1, PARTS + 1)]
    return [
        {
            "true": classes[labels[place]],
            "parts": [
                {
                    "image": data_uri(images[part][k]),
                    "percent": 100 * (part + 1) // PARTS,
                    "said": classes[prefixes.best[part, place]],
                    "confidence": float(prefixes.confidence[part, place]),
                    "right": bool(right[part, place]),
                }
                for part in range(PARTS)
            ],
        }
        for k, place in enumerate(some.tolist())
    ]
