"""What a run makes of drawings: the probability of every class."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from model.runs.folder import Run
from model.scoring.evaluate import EVAL_BATCH
from model.scoring.loaded import LoadedRun
from pipeline.arrays import UInt8Array
from pipeline.drawings import Drawings
from pipeline.rendering.render import render
from pipeline.wording import counted


@dataclass(repr=False)
class Predictor:
    """A run's best checkpoint, ready to name drawings.

    Attributes:
        loaded: the run, by whose temperature logits are divided.
        mirror: whether `predict` takes the mean over each drawing and its mirror image.
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
        """The words that it knows, in the order of the probabilities."""
        return self.run.config.classes

    @property
    def run(self) -> Run:
        """Whose it is."""
        return self.loaded.run

    def images(self, drawings: Drawings) -> UInt8Array:
        """(N, H, W, C) uint8, the drawings as the network sees them."""
        return render(drawings, self.run.config.render_config())

    def predict(self, drawings: Drawings, images: UInt8Array | None = None) -> NDArray[np.float32]:
        """(N, K) float32, rows that sum to 1, of N drawings; `images` are theirs where they are made already."""
        found = self.probabilities(self.images(drawings) if images is None else images)
        if self.mirror:
            found += self.probabilities(render(drawings, self.run.config.render_config(), mirrored=True))
            found /= 2
        return found

    def probabilities(self, images: UInt8Array) -> NDArray[np.float32]:
        """(N, K) float32, rows that sum to 1, of (N, H, W, C) uint8 images."""
        return self._outputs(images, lambda logits: jax.nn.softmax(logits / self.loaded.temperature, axis=-1))

    def logits(self, images: UInt8Array) -> NDArray[np.float32]:
        """(N, K) float32 of (N, H, W, C) uint8 images."""
        return self._outputs(images, lambda logits: logits)

    def _outputs(self, images: UInt8Array, output: Callable[[jax.Array], jax.Array]) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(images), EVAL_BATCH):
            part = images[start : start + EVAL_BATCH]
            # One shape for any number of drawings, so that one compilation serves all.
            padded = np.zeros((1 if len(images) == 1 else EVAL_BATCH, *images.shape[1:]), np.uint8)
            padded[: len(part)] = part
            parts.append(np.asarray(output(self.loaded.step(self._variables, padded)))[: len(part)])
        return np.concatenate(parts) if parts else np.zeros((0, len(self.run.config.classes)), np.float32)
