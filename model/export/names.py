"""Names in an ONNX graph that people read, in Netron or where they quantise it: those of the network's layers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict
from onnx import GraphProto, numpy_helper

_Arrays = dict[str, np.ndarray[Any, Any]]


def name_after_layers(graph: GraphProto, variables: Mapping[str, Any], order: Sequence[str]) -> None:
    """Rename nodes, weights and values of a graph in place; its inputs and outputs keep their names.

    A node that takes a layer's arrays is named after it, and they by their names in it: `stem`, `stem/kernel`. Other
    nodes are numbered by operator: `Relu_1`. What a node gives has its name, constants its name and their place.

    Args:
        graph: as a converter left it.
        variables: of the network, nested dictionaries of arrays.
        order: the layers' names in the order of the forward pass: of two that fit, the first is taken.
    """
    layers = _arrays_by_layer(variables)
    left = {name: layers[name] for name in order}
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    kept = {one.name for one in (*graph.input, *graph.output)}
    renamed: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for node in graph.node:
        taken = {name: constants[name] for name in node.input if name in constants and name not in renamed}
        layer = next((name for name, arrays in left.items() if _fit(taken, arrays)), None)
        if layer is None:
            counts[node.op_type] += 1
            node.name = f"{node.op_type}_{counts[node.op_type]}"
            names = {name: f"{node.name}/{place}" for place, name in enumerate(node.input) if name in taken}
        else:
            node.name = layer
            names = {name: f"{layer}/{leaf}" for name, leaf in _fit(taken, left.pop(layer)).items()}
        renamed |= names
        renamed |= {name: f"{node.name}/{place}" if place else node.name for place, name in enumerate(node.output)}
    for name in kept:
        renamed.pop(name, None)
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for one in graph.initializer:
        one.name = renamed.get(one.name, one.name)


def _fit(taken: _Arrays, layer: _Arrays) -> dict[str, str]:
    """The name in a layer of each array that a node takes; empty where one of them is not the layer's."""
    left, found = dict(layer), {}
    for name, array in taken.items():
        leaf = next((leaf for leaf, other in left.items() if _same(array, other)), None)
        if leaf is None:
            return {}
        found[name] = leaf
        del left[leaf]
    return found


def _same(array: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    """Whether they are equal, the second as it is or, where it is of a convolution, with its channels first."""
    return np.array_equal(array, other) or (other.ndim == 4 and np.array_equal(array, other.transpose(3, 2, 0, 1)))


def _arrays_by_layer(variables: Mapping[str, Any]) -> dict[str, _Arrays]:
    """Parameters and batch statistics by the path of their layer."""
    found: dict[str, _Arrays] = {}
    for (_, *layer, leaf), array in flatten_dict(variables).items():
        found.setdefault("/".join(layer), {})[leaf] = np.asarray(array)
    return found
