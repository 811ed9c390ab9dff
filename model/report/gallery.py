"""Drawings for the page: read from their shards, drawn as the network sees them, told in a line."""

import base64
from dataclasses import dataclass

import numpy as np

from model.report.outputs import Outputs
from pipeline.arrays import Int64Array, UInt8Array
from pipeline.drawings import Drawings, concat
from pipeline.pictures.png import encode_png
from pipeline.rendering.render import RenderConfig, render


@dataclass(frozen=True)
class Picture:
    """A drawing on the page.

    Attributes:
        image: a data URI of a PNG file.
        true: its word.
        said: what the network takes it for.
        confidence: how sure it is of that.
        of_true: what it gives the word.
        second: what it puts next.
        of_second: how sure it is of that.
        key_id: Google's.
        country: the country code; None where it is not known.
        recognized: whether Google's own game recognized it; None where it is not known.
        right: whether it is taken for what it is.
    """

    image: str
    true: str
    said: str
    confidence: float
    of_true: float
    second: str
    of_second: float
    key_id: int
    country: str | None
    recognized: bool | None
    right: bool


def read_drawings(outputs: Outputs, chosen: Int64Array) -> Drawings:
    """The drawings at `chosen`, (N,) int64, one or more places in the outputs, in that order.

    Raises:
        ShardError: their shards are damaged.
    """
    parts = outputs.part[chosen]
    present = np.unique(parts).tolist()
    read = [outputs.splits[part].read_rows(outputs.row[chosen[parts == part]]) for part in present]
    return concat(read).take(np.argsort(np.argsort(parts, kind="stable")))


def pictures_of(
    outputs: Outputs, chosen: Int64Array, classes: tuple[str, ...], config: RenderConfig
) -> dict[int, Picture]:
    """The drawings at `chosen`, by their place in the outputs.

    Raises:
        ShardError: their shards are damaged.
    """
    chosen = np.unique(chosen)
    if not len(chosen):
        return {}
    drawings, countries = read_drawings(outputs, chosen), _countries_of(outputs, chosen)
    images = render(drawings, config)
    return {
        place: Picture(
            image=data_uri(images[k]),
            true=classes[outputs.label[place]],
            said=classes[outputs.best[place]],
            confidence=float(outputs.confidence[place]),
            of_true=float(outputs.of_true[place]),
            second=classes[outputs.second[place]],
            of_second=float(outputs.of_second[place]),
            key_id=int(drawings.key_id[k]),
            country=countries[place],
            recognized=bool(drawings.recognized[k]) if drawings.recognized[k] >= 0 else None,
            right=bool(outputs.rank[place] == 0),
        )
        for k, place in enumerate(chosen.tolist())
    }


def data_uri(image: UInt8Array) -> str:
    """An (H, W, C) uint8 image as the address of itself."""
    return "data:image/png;base64," + base64.b64encode(encode_png(image)).decode()


def _countries_of(outputs: Outputs, chosen: Int64Array) -> dict[int, str | None]:
    """The country code of each drawing at `chosen`, one column of a row group at a time."""
    found: dict[int, str | None] = {}
    for part, split in enumerate(outputs.splits):
        places = chosen[outputs.part[chosen] == part]
        groups = np.searchsorted(split.row_starts, outputs.row[places], side="right") - 1
        for group in np.unique(groups).tolist():
            column = split.read_table(group, ("countrycode",)).column("countrycode")
            for place in places[groups == group].tolist():
                found[place] = column[int(outputs.row[place] - split.row_starts[group])].as_py()
    return found
