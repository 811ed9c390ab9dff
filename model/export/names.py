"""Names the nodes and weights of an ONNX graph after the network's layers, for Netron and others."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict
from onnx import GraphProto, numpy_helper

_Arrays = dict[str, np.ndarray[Any, Any]]


def name_after_layers(graph: GraphProto, variables: Mapping[str, Any], order: Sequence[str]) -> None:
    """Rename nodes, weights and values of a graph in place; its inputs and outputs keep their names.

    A node whose inputs are a layer's arrays gets the layer's name, such as `stem`, and the arrays theirs in the layer,
    such as `stem/kernel`. Other nodes are numbered by operator, such as `Relu_1`. A node's first output has the node's
    name; its other outputs and its other constants have the node's name and their place, such as `Relu_1/1`.

    Args:
        graph: the graph as the converter made it.
        variables: the network's variables, nested dictionaries of arrays.
        order: the layers' names in the order of the forward pass; if several layers match a node, the first is used.
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
    """The name in a layer of each array that a node takes; empty if one of them is not in the layer."""
    left, found = dict(layer), {}
    for name, array in taken.items():
        leaf = next((leaf for leaf, other in left.items() if _same(array, other)), None)
        if leaf is None:
            return {}
        found[name] = leaf
        del left[leaf]
    return found


def _same(array: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    """Whether two arrays are equal; the second may also be a convolution's kernel with its channels last."""
    return np.array_equal(array, other) or (other.ndim == 4 and np.array_equal(array, other.transpose(3, 2, 0, 1)))


def _arrays_by_layer(variables: Mapping[str, Any]) -> dict[str, _Arrays]:
    """The parameters and batch statistics of each layer, under the layer's path."""
    found: dict[str, _Arrays] = {}
    for (_, *layer, leaf), array in flatten_dict(variables).items():
        found.setdefault("/".join(layer), {})[leaf] = np.asarray(array)
    return found
