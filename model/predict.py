"""What a run makes of drawings: the probability of every class."""

from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from model.calibration import load_temperature
from model.evaluate import EVAL_BATCH, load_network
from model.runs.folder import Run
from pipeline.drawings import Drawings, UInt8Array
from pipeline.rendering.render import render


@dataclass
class Predictor:
    """A run's best checkpoint, ready to name drawings.

    Attributes:
        run: whose.
        mirror: whether `of_drawings` takes the mean over each drawing and its mirror image.
        temperature: by which logits are divided: the run's own, if one was fitted.
    """

    run: Run
    mirror: bool = False
    temperature: float = field(init=False)

    def __post_init__(self) -> None:
        self.temperature = load_temperature(self.run)
        self._step, variables, _ = load_network(self.run)
        self._variables: Any = jax.device_put(variables)

    def images(self, drawings: Drawings) -> UInt8Array:
        """(N, H, W, C) uint8, the drawings as the network sees them."""
        return render(drawings, self.run.config.render_config())

    def of_drawings(self, drawings: Drawings, images: UInt8Array | None = None) -> NDArray[np.float32]:
        """(N, K) float32, rows that sum to 1, of N drawings; `images` are theirs where they are made already."""
        found = self.probabilities(self.images(drawings) if images is None else images)
        if self.mirror:
            found += self.probabilities(render(drawings, self.run.config.render_config(), mirrored=True))
            found /= 2
        return found

    def probabilities(self, images: UInt8Array) -> NDArray[np.float32]:
        """(N, K) float32, rows that sum to 1, of (N, H, W, C) uint8 images."""
        parts = []
        for start in range(0, len(images), EVAL_BATCH):
            part = images[start : start + EVAL_BATCH]
            # One shape for any number of drawings, so that one compilation serves all.
            padded = np.zeros((1 if len(images) == 1 else EVAL_BATCH, *images.shape[1:]), np.uint8)
            padded[: len(part)] = part
            logits = self._step(self._variables, padded)
            parts.append(np.asarray(jax.nn.softmax(logits / self.temperature, axis=-1))[: len(part)])
        return np.concatenate(parts) if parts else np.zeros((0, len(self.run.config.classes)), np.float32)
