"""Predicts drawings: the probability of every class."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from model.runs.find import RUNS, is_run, newest_run, with_built_in
from model.runs.folder import Run
from model.runs.opening import open_run
from model.scoring.evaluate import EVAL_BATCH
from model.scoring.loaded import LoadedRun, load_best
from pipeline.arrays import UInt8Array
from pipeline.drawings import Drawings, from_strokes
from pipeline.errors import InputError
from pipeline.rendering.render import render
from pipeline.sample.doodles import SAMPLE_WORDS, sample_line
from pipeline.shards.read import open_split
from pipeline.storage.local import local_path
from pipeline.wording import counted


@dataclass(frozen=True)
class Prediction:
    """A prediction for one drawing.

    Attributes:
        drew: the drawing's own word; None if it has none.
        key_id: the drawing's identifier.
        labels: the probability of every class, the most probable class first.
    """

    drew: str | None
    key_id: int
    labels: dict[str, float]

    @property
    def predicted(self) -> str:
        """The most probable class."""
        return next(iter(self.labels))

    @property
    def probability(self) -> float:
        """The probability of the most probable class, from 0 to 1."""
        return self.labels[self.predicted]

    def as_dict(self) -> dict[str, Any]:
        """The prediction as JSON."""
        return {
            "drew": self.drew, "predicted": self.predicted, "probability": self.probability, "key_id": self.key_id,
            "labels": self.labels,
        }  # fmt: skip


@dataclass(repr=False)
class Predictor:
    """A run's best checkpoint, ready to predict drawings.

    Attributes:
        loaded: the run; logits are divided by its temperature.
        mirror: whether `predict` averages over each drawing and its mirror image.
    """

    loaded: LoadedRun
    mirror: bool = False

    def __post_init__(self) -> None:
        self._variables: Any = jax.device_put(self.loaded.variables)

    def __repr__(self) -> str:
        config = self.run.config
        classes = counted(len(config.classes), "class", "classes")
        return f"Predictor({self.run.folder}, {config.network}, {classes}, checkpoint {self.loaded.checkpoint})"

    @property
    def classes(self) -> tuple[str, ...]:
        """The words that it can predict, in the order of the probabilities."""
        return self.run.config.classes

    @property
    def run(self) -> Run:
        """The run."""
        return self.loaded.run

    def images(self, drawings: Drawings) -> UInt8Array:
        """(N, H, W, C) uint8, the drawings as the network sees them."""
        return render(drawings, self.run.config.render_config())

    def predict(self, drawings: Drawings, images: UInt8Array | None = None) -> NDArray[np.float32]:
        """(N, K) float32, rows that sum to 1, for N drawings; `images` saves rendering them again."""
        found = self.probabilities(self.images(drawings) if images is None else images)
        if self.mirror:
            found += self.probabilities(render(drawings, self.run.config.render_config(), mirrored=True))
            found /= 2
        return found

    def predictions(self, drawings: Drawings, probabilities: NDArray[np.float32]) -> Iterator[Prediction]:
        """The predictions for N drawings one by one, from the probabilities that `predict` returned."""
        classes = self.run.config.classes
        for k, row in enumerate(probabilities):
            order = (-row).argsort(kind="stable").tolist()  # of equal ones the lower label comes first
            labels = {classes[label]: float(row[label]) for label in order}
            yield Prediction(drawings.words[drawings.word[k]] or None, int(drawings.key_id[k]), labels)

    def probabilities(self, images: UInt8Array) -> NDArray[np.float32]:
        """(N, K) float32, rows that sum to 1, for (N, H, W, C) uint8 images."""
        return self._outputs(images, lambda logits: jax.nn.softmax(logits / self.loaded.temperature, axis=-1))

    def logits(self, images: UInt8Array) -> NDArray[np.float32]:
        """(N, K) float32 for (N, H, W, C) uint8 images."""
        return self._outputs(images, lambda logits: logits)

    def _outputs(self, images: UInt8Array, output: Callable[[jax.Array], jax.Array]) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(images), EVAL_BATCH):
            part = images[start : start + EVAL_BATCH]
            # The same shape for any number of drawings, so that the network is compiled once.
            padded = np.zeros((1 if len(images) == 1 else EVAL_BATCH, *images.shape[1:]), np.uint8)
            padded[: len(part)] = part
            outputs = np.asarray(output(self.loaded.step(self._variables, padded)))[: len(part)]
            parts.append(self.loaded.finite(outputs))
        return np.concatenate(parts) if parts else np.zeros((0, len(self.run.config.classes)), np.float32)


def load_run(run: str | Path = RUNS, *, mirror: bool = False) -> Predictor:
    """Open a trained run, ready to predict drawings.

    Args:
        run: a run's folder, or a folder of runs, of which the one that saved a checkpoint last is used, or
            "sketchnet-345", which comes with sketchpipe.
        mirror: whether `predict` averages over each drawing and its mirror image: more accurate, twice as slow.

    Raises:
        InputError: there is no trained run.
        CheckpointError: its files are damaged.
        MismatchError: it is of a format that this version does not read.
    """
    folder = with_built_in(local_path(run))
    if not folder.is_dir():
        raise InputError(f"{folder}: {'is a file, not the folder of a run' if folder.exists() else 'no such folder'}")
    return Predictor(load_best(open_run(folder) if is_run(folder) else newest_run(folder)), mirror)


def random_drawing(run: Run, folder: Path, seed: int | None) -> Drawings:
    """Read a random drawing of the test split of shards; the same seed gives the same drawing.

    Raises:
        MismatchError: the shards were split in another way than those that the run was trained on.
        SketchpipeError: the shards are missing or damaged.
    """
    split = open_split(folder, "test")
    run.check_splits(split.manifest, folder)
    return split.read_rows(np.array([random.Random(seed).randrange(len(split))]))


def sample_drawing(run: Run, seed: int | None) -> Drawings:
    """A random synthetic drawing of the built-in sample, of a class of the run; the same seed gives the same drawing.

    Raises:
        InputError: the sample has none of the run's classes.
    """
    known = [word for word in SAMPLE_WORDS if word in run.config.classes]
    if not known:
        raise InputError(f"{run.folder}: the built-in sample has none of its classes; name shards by --shards")
    dice = random.Random(seed)
    line = json.loads(sample_line(dice.choice(known), dice.randrange(1000)))
    return from_strokes([line["drawing"]], [line["word"]])
