"""The report's section on unfinished drawings: how early a drawing is predicted correctly."""

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
from pipeline.wording import counted

_STRIPS = 4  # drawings that are shown from their first tenth on
_FRAMING = {
    "centred": "is centred and scaled to the size of a whole drawing",
    "corner": "is aligned to the corner and scaled to the size of the whole drawing, as Google would align it",
}


def early_for_page(
    outputs: Outputs, prefixes: Prefixes, predictor: Predictor, classes: tuple[str, ...]
) -> dict[str, Any]:
    """The values that the template shows of the predictions for unfinished drawings."""
    count = len(prefixes.chosen)
    right = prefixes.rank == 0
    top1, top3 = right.sum(axis=1), (prefixes.rank < 3).sum(axis=1)
    first = first_right(right)
    settled = np.array([(first <= part).mean() for part in range(PARTS)])
    low, high = wilson(top1, np.full(PARTS, count))
    sample = f"all {count:,} drawings"
    if count < len(outputs):
        sample = f"{counted(count, 'drawing')}, a random sample of the {len(outputs):,}"
    config = predictor.run.config
    augmentation = config.augmentation()
    cut = augmentation.prefix if augmentation is not None else 0.0
    enough = np.flatnonzero(settled >= 0.5)
    half = ""
    if len(enough):
        percent = 100 * (enough[0] + 1) // PARTS
        half = f"With {percent}% of its points, half of the drawings are predicted correctly from then on."
    trained = "The network was trained on whole drawings only: --augment prefix=0.3 trains one that guesses earlier."
    if cut:
        trained = f"The network was trained on unfinished drawings too: {cut:.0%} of the drawings were cut."
    return {
        "sample": sample,
        "half": half,
        "framing": _FRAMING[config.framing] + ", as in training",
        "trained": trained,
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
    """Some drawings from their first tenth on, of different classes; each is predicted correctly when it is whole."""
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
                    "predicted": classes[prefixes.best[part, place]],
                    "confidence": float(prefixes.confidence[part, place]),
                    "right": bool(right[part, place]),
                }
                for part in range(PARTS)
            ],
        }
        for k, place in enumerate(some.tolist())
    ]
