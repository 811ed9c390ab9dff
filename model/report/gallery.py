"""The drawings on the report's page: each as the network sees it, with its classes and its source."""

import base64
from typing import Any

import numpy as np

from model.report.outputs import Outputs
from pipeline.arrays import Int64Array, UInt8Array
from pipeline.drawings import Drawings, concat
from pipeline.pictures.png import encode_png
from pipeline.rendering.render import RenderConfig, render


def read_drawings(outputs: Outputs, chosen: Int64Array) -> Drawings:
    """Read the drawings at `chosen`, (N,) int64, one or more places in the outputs, in that order.

    Raises:
        ShardError: the shards are damaged.
    """
    parts = outputs.part[chosen]
    present = np.unique(parts).tolist()
    read = [outputs.splits[part].read_rows(outputs.row[chosen[parts == part]]) for part in present]
    return concat(read).take(np.argsort(np.argsort(parts, kind="stable")))


def pictures_of(
    outputs: Outputs, chosen: Int64Array, classes: tuple[str, ...], config: RenderConfig
) -> dict[int, dict[str, Any]]:
    """What the template shows of the drawings at `chosen`, each under its place in the outputs.

    Country and recognition, by Google's own game, are None if they are not known.

    Raises:
        ShardError: the shards are damaged.
    """
    chosen = np.unique(chosen)
    if not len(chosen):
        return {}
    drawings, countries = read_drawings(outputs, chosen), _countries_of(outputs, chosen)
    images = render(drawings, config)
    return {
        place: {
            "image": data_uri(images[k]),
            "true": classes[outputs.label[place]],
            "predicted": classes[outputs.best[place]],
            "confidence": float(outputs.confidence[place]),
            "of_true": float(outputs.of_true[place]),
            "second": classes[outputs.second[place]],
            "of_second": float(outputs.of_second[place]),
            "key_id": int(drawings.key_id[k]),
            "country": countries[place],
            "recognized": bool(drawings.recognized[k]) if drawings.recognized[k] >= 0 else None,
            "right": bool(outputs.rank[place] == 0),
        }
        for k, place in enumerate(chosen.tolist())
    }


def data_uri(image: UInt8Array) -> str:
    """An (H, W, C) uint8 image as the data URI of a PNG file."""
    return "data:image/png;base64," + base64.b64encode(encode_png(image)).decode()


def _countries_of(outputs: Outputs, chosen: Int64Array) -> dict[int, str | None]:
    """Read the country code of each drawing at `chosen`; of each row group only that column is read."""
    found: dict[int, str | None] = {}
    for part, split in enumerate(outputs.splits):
        places = chosen[outputs.part[chosen] == part]
        groups = np.searchsorted(split.row_starts, outputs.row[places], side="right") - 1
        for group in np.unique(groups).tolist():
            column = split.read_table(group, ("countrycode",)).column("countrycode")
            for place in places[groups == group].tolist():
                found[place] = column[int(outputs.row[place] - split.row_starts[group])].as_py()
    return found
