"""The networks' names, recipes and costs, without JAX, which takes a second to load."""

import dataclasses
import difflib
import functools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from model.config import EPOCHS, Recipe
from pipeline.errors import UsageError
from pipeline.rendering.augment import OFF

DEFAULT_NETWORK = "sketchnet"
COSTS = Path(__file__).with_name("costs.json")  # written by docs/generate.py from the networks themselves


@dataclass(frozen=True)
class NetworkSpec:
    """A network that users choose by its name."""

    description: str
    recipe: Recipe
    epochs: int  # for 6,000 to 12,000 drawings


# As the authors of the two reimplemented networks trained them: Adam alone.
_PLAIN_ADAM = Recipe(
    optimizer="adam", weight_decay=0.0, schedule="constant", warmup=0.0, label_smoothing=0.0, augment=OFF,
    encoding="palette", framing="corner",
)  # fmt: skip

# For GPUs, 345 classes and millions of drawings: large batches in bfloat16 fill a GPU's matrix units.
_FOR_GPUS = Recipe(lr=4e-3, batch=1024)

NETWORKS: dict[str, NetworkSpec] = {
    "sketchnet": NetworkSpec("sketchpipe's own residual network, for a laptop", Recipe(), EPOCHS),
    "sketchnet-base": NetworkSpec("the same family, for a GPU and 345 classes", _FOR_GPUS, EPOCHS),
    "sketchnet-large": NetworkSpec("the same family, for a GPU and tens of millions of drawings", _FOR_GPUS, EPOCHS),
    "sketch-classifier": NetworkSpec(
        "joeylemon/sketch-classifier: two convolutions, one dense layer",
        dataclasses.replace(_PLAIN_ADAM, lr=1e-3, batch=1024),
        epochs=50,  # its author trained overnight
    ),
    "quickdraw-classifier": NetworkSpec(
        "kolszewska/QuickDrawClassifier: three convolutions, dropout, two dense layers",
        dataclasses.replace(_PLAIN_ADAM, lr=1e-4, batch=64),
        epochs=50,  # as its author trained it
    ),
}


class LayerRow(NamedTuple):
    """A layer's name, the shape of its kernel (or of its scale), and its number of parameters."""

    layer: str
    shape: tuple[int, ...]
    parameters: int


def network_spec(name: str) -> NetworkSpec:
    """The entry of `NETWORKS` called `name`; otherwise a `UsageError` that suggests a similar name."""
    if name in NETWORKS:
        return NETWORKS[name]
    near = difflib.get_close_matches(name, NETWORKS, n=1)
    hint = f"did you mean {near[0]!r}? There" if near else "there"
    raise UsageError(f"no network is called {name!r}: {hint} are {', '.join(NETWORKS)}")


def network_cost(name: str, classes: int) -> tuple[list[LayerRow], int, float]:
    """A row for each layer in the order of the forward pass, the number of parameters, and the operations of an image.

    The operations are floating-point ones of a forward pass. This is what `parameter_table` and `forward_flops` of
    `model.networks` compute, read from a file.

    >>> network_cost("sketch-classifier", 19)[0][-1]
    LayerRow(layer='dense', shape=(1352, 19), parameters=25707)
    """
    cost = _costs()[name]
    rows = [LayerRow(layer, tuple(shape), parameters) for layer, shape, parameters in cost["layers"]]
    layer, inputs = cost["last"]  # whose outputs are the classes
    rows.append(LayerRow(layer, (inputs, classes), (inputs + 1) * classes))
    return rows, sum(row.parameters for row in rows), cost["flops"] + cost["flops_per_class"] * classes


def network_shapes(name: str, classes: int, channels: int) -> dict[str, tuple[int, ...]]:
    """The shape of each array of a network for images of 64 x 64 pixels, by its name in a checkpoint.

    This is what `model.networks.array_shapes` computes, derived from the layers on file: tracing takes a second.

    >>> network_shapes("sketch-classifier", 19, 1)["params/conv1/kernel"]
    (5, 5, 1, 4)
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for place, (layer, shape, parameters) in enumerate(network_cost(name, classes)[0]):
        if len(shape) == 1:  # batch norm
            shapes |= dict.fromkeys((f"params/{layer}/scale", f"params/{layer}/bias"), shape)
            shapes |= dict.fromkeys((f"batch_stats/{layer}/mean", f"batch_stats/{layer}/var"), shape)
            continue
        shapes[f"params/{layer}/kernel"] = shape if place else (*shape[:2], channels, shape[3])
        if parameters > math.prod(shape):
            shapes[f"params/{layer}/bias"] = shape[-1:]
    return shapes


@functools.cache
def _costs() -> dict[str, Any]:
    costs: dict[str, Any] = json.loads(COSTS.read_text())
    return costs
