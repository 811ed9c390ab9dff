"""Predicts a split with trained variants of sketchnet, and compares variants with standard errors."""

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from early import SHARES, first_points
from numpy.typing import NDArray
from recipes_training import Trained
from sequences import whole_sequences
from settings_networks import Variant

from model.compute.steps import CompiledSteps
from model.config import TrainConfig
from model.scoring.metrics import cross_entropy, mean_log_probabilities, ranks
from pipeline.arrays import Float64Array
from pipeline.drawings import Drawings
from pipeline.rendering.prefix import leading
from pipeline.rendering.render import render_leading
from pipeline.shards.read import ShardSplit

EVAL_BATCH = 256
CHUNK = 16 * EVAL_BATCH  # drawings that are read and rendered at a time
LAST, AVERAGE, MIRRORED, BOTH, EQUAL = "last", "average", "mirrored", "average, mirrored", "equal classes"
SCORES = (LAST, AVERAGE, MIRRORED, BOTH, EQUAL)
Logits = NDArray[np.float32]
Devices = Sequence[jax.Device]


class Predictors:
    """Predicts images with a network and one or more sets of its variables, on all devices."""

    def __init__(self, network: Variant, variables: Sequence[Any], devices: Devices) -> None:
        apply = partial(network.apply, train=False)
        self._apply: Any = jax.pmap(apply, devices=devices) if len(devices) > 1 else jax.jit(apply)
        self.network = network
        self._steps = CompiledSteps(devices, 1, self._apply, self._apply)
        self._variables = [self._steps.put_state(one) for one in variables]

    def only(self, place: int) -> "Predictors":
        """The same with one of the sets of variables."""
        one = copy.copy(self)
        one._variables = [self._variables[place]]
        return one

    def logits(self, *inputs: NDArray[Any]) -> list[Logits]:
        """(N, K) float32 for N drawings, for each set of variables."""
        found: list[list[Logits]] = [[] for _ in self._variables]
        for start in range(0, len(inputs[0]), EVAL_BATCH):
            count = min(EVAL_BATCH, len(inputs[0]) - start)
            placed = self._steps.put_batch(*(padded(one[start : start + count]) for one in inputs))
            for one, variables in zip(found, self._variables, strict=True):
                logits = np.asarray(self._apply(variables, *placed))
                one.append(logits.reshape(EVAL_BATCH, -1)[:count])
        return [np.concatenate(one) for one in found]


def padded(inputs: NDArray[Any]) -> NDArray[Any]:
    """(EVAL_BATCH, ...), as many or fewer inputs, then zeros, so that the network is compiled once."""
    out = np.zeros((EVAL_BATCH, *inputs.shape[1:]), inputs.dtype)
    out[: len(inputs)] = inputs
    return out


def inputs_for(
    network: Variant, drawings: Drawings, config: TrainConfig, *, mirrored: bool, share: float
) -> list[NDArray[Any]]:
    """The images of drawings or of a first share of their points, and the sequences, if the network takes them."""
    look, points = config.render_config(), first_points(drawings, share)
    images = render_leading(drawings, points, look, mirrored=mirrored)
    if not network.sequence:
        return [images]
    return [images, whole_sequences(leading(drawings, points), look, network.points, mirrored=mirrored)]


def predicted(
    predictors: Predictors, split: ShardSplit, config: TrainConfig, *, mirrored: bool = False, share: float = 1.0
) -> list[Logits]:
    """(N, K) float32, the logits of each row of a split, for each set of variables."""
    found = [
        predictors.logits(
            *inputs_for(predictors.network, split[start : start + CHUNK], config, mirrored=mirrored, share=share)
        )
        for start in range(0, len(split), CHUNK)
    ]
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def scores_of(trained: Trained, split: ShardSplit, config: TrainConfig, devices: Devices) -> dict[str, Any]:
    """What a results file keeps of a network's predictions for a split.

    `right` has for each of `SCORES` whether each row is classified correctly, as hexadecimal bits; `early` the top-1 of
    the averaged weights after each of `SHARES` of the points but the last.
    """
    labels = labels_of(split)
    predictors = Predictors(trained.network, (trained.variables, trained.average), devices)
    plain = predicted(predictors, split, config)
    mirrored = predicted(predictors, split, config, mirrored=True)
    counts = np.maximum(np.array(split.manifest.counts["train"], np.float64), 1)
    found = {
        LAST: plain[0],
        AVERAGE: plain[1],
        MIRRORED: mean_log_probabilities([plain[0], mirrored[0]]),
        BOTH: mean_log_probabilities([plain[1], mirrored[1]]),
        EQUAL: plain[0] - np.log(counts / counts.sum()),
    }
    early = [predicted(predictors.only(1), split, config, share=share)[0] for share in SHARES[:-1]]
    rank = ranks(plain[0], labels)
    return {
        "right": {name: as_hex(logits.argmax(axis=1) == labels) for name, logits in found.items()},
        "top3": float((rank < 3).mean()),
        "loss": cross_entropy(plain[0], labels, 1.0) / len(labels),
        "early": [float((logits.argmax(axis=1) == labels).mean()) for logits in early],
    }


def labels_of(split: ShardSplit) -> NDArray[np.int32]:
    """(N,) int32, the label of each row of a split."""
    return np.concatenate([split.read_row_group(group).word for group in range(len(split.row_groups))])


def as_hex(right: NDArray[np.bool_]) -> str:
    """Bits as text."""
    return np.packbits(right).tobytes().hex()


def from_hex(text: str, count: int) -> Float64Array:
    """(count,) float64, 0 or 1, of the text that `as_hex` made."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=count).astype(np.float64)


def weights_by_class(labels: NDArray[np.int32]) -> Float64Array:
    """(N,) float64, weights by which a sum over drawings is the mean over classes."""
    counts = np.bincount(labels)
    weights: Float64Array = 1 / (np.count_nonzero(counts) * counts[labels])
    return weights


class Compared:
    """The finished runs of variants, on the same validation drawings.

    A difference of two variants is of their means over seeds. Its standard error has two parts: the variation of the
    difference over drawings (within classes, for a mean over classes), and that over seeds, pooled over all variants
    that have several, divided by the seeds of each.
    """

    def __init__(self, runs: dict[str, list[dict[str, Any]]], labels: NDArray[np.int32]) -> None:
        self.runs, self.labels = runs, labels
        self._weights = {False: np.full(len(labels), 1 / len(labels)), True: weights_by_class(labels)}

    def right(self, name: str, score: str) -> Float64Array:
        """(S, N) float64, whether each seed's network classifies each drawing correctly."""
        return np.stack([from_hex(run["right"][score], len(self.labels)) for run in self.runs[name]])

    def top1(self, name: str, score: str, *, balanced: bool) -> tuple[float, float]:
        """The mean over seeds of top-1, or of the mean over classes, and its standard error."""
        right = self.right(name, score)
        return self._value(right.mean(axis=0), balanced), self._error(right.mean(axis=0), balanced, (len(right),))

    def worth(self, name: str, other: str, score: str, *, balanced: bool) -> tuple[float, float]:
        """The gain of a variant over another, and its standard error."""
        one, base = self.right(name, score), self.right(other, score)
        gain = one.mean(axis=0) - base.mean(axis=0)
        return self._value(gain, balanced), self._error(gain, balanced, (len(one), len(base)))

    def _value(self, values: Float64Array, balanced: bool) -> float:
        return float(values @ self._weights[balanced])

    def _error(self, values: Float64Array, balanced: bool, seeds: Sequence[int]) -> float:
        weights = self._weights[balanced]
        middle = values.mean()
        if balanced:
            middle = (np.bincount(self.labels, values) / np.maximum(np.bincount(self.labels), 1))[self.labels]
        drawings = float((weights**2) @ (values - middle) ** 2)
        return float(np.sqrt(drawings + self._seed_variance(balanced) * sum(1 / count for count in seeds)))

    def _seed_variance(self, balanced: bool) -> float:
        """The variance of a score between seeds of one variant; 0 if no variant has several."""
        several = [
            self.right(name, LAST) @ self._weights[balanced] for name, runs in self.runs.items() if len(runs) > 1
        ]
        freedom = sum(len(one) - 1 for one in several)
        return sum(((one - one.mean()) ** 2).sum() for one in several) / freedom if freedom else 0.0


def table(compared: Compared, other: str, score: str) -> list[str]:
    """The lines of a markdown table of all variants against one of them, scored as one of `SCORES`."""
    headings = [
        "variant", "epochs", "seeds", f"top-1 ({score})", "worth, points", "mean over classes", "worth, points",
        *(f"+ {name}" for name in SCORES if name != score), "top-3", *(f"{share:.0%}" for share in SHARES[:-1]),
        "train", "parameters", "CPU seconds", "images/s",
    ]  # fmt: skip
    lines = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    for name, runs in compared.runs.items():
        cells = [name, str(runs[0]["setting"]["epochs"]), str(len(runs))]
        for balanced in (False, True):
            cells.append(percent(*compared.top1(name, score, balanced=balanced)))
            is_other = name == other or other not in compared.runs
            cells.append("-" if is_other else points(*compared.worth(name, other, score, balanced=balanced)))
        cells += [f"{compared.top1(name, one, balanced=True)[0]:.1%}" for one in SCORES if one != score]
        shares = [*zip(*(run["early"] for run in runs), strict=True)]
        means = [np.mean(values) for values in ([run["top3"] for run in runs], *shares, [run["train"] for run in runs])]
        cells += [f"{mean:.1%}" for mean in means]
        numbers = [np.mean([run[key] for run in runs]) for key in ("parameters", "cpu_seconds", "images_per_second")]
        lines.append(f"| {' | '.join([*cells, *(f'{number:,.0f}' for number in numbers)])} |")
    return lines


def percent(share: float, error: float) -> str:
    """A share with its standard error."""
    return f"{share:.2%} ± {100 * error:.2f}"


def points(gain: float, error: float) -> str:
    """A difference of shares in points, with its standard error."""
    return f"{100 * gain:+.2f} ± {100 * error:.2f}"
