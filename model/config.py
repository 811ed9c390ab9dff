"""The configuration of a training run, which is stored beside every checkpoint, and the recipe in it."""

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Literal, Self, get_args, get_origin

from pipeline.errors import UsageError
from pipeline.rendering.augment import Augmentation, canonical
from pipeline.rendering.render import RenderConfig

IMAGE_SIZE = 64  # pixels a side
LINE_WIDTH = 1.25  # pixels
EPOCHS = 32  # of sketchnet, for 6,000 to 12,000 training drawings
MAX_EPOCHS = 60
_MOST_IN_BATCH = 2**31 - 1  # drawings


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained, whatever drawings it is trained on.

    Attributes:
        optimizer: "adam", or "adamw", which decays the weights of kernels but not of biases and norms.
        lr: the learning rate, at its peak.
        batch: drawings in a step, on all devices together.
        weight_decay: the weight decay of AdamW; 0 with Adam.
        schedule: "constant", or "cosine": a linear rise to `lr`, then half a cosine down to 0.
        warmup: the share of all steps that the rise takes, 0 to 0.9; 0 with a constant schedule.
        label_smoothing: the share of a label that is spread over all classes, 0 to 0.9.
        augment: how strokes are changed before they are rendered, as `Augmentation.parse` reads it, or "off"; every
            amount is stored, so that a change of a default does not change an old run.
        encoding: what the channels of the images show, a name in `pipeline.rendering.raster.ENCODINGS`.
        framing: where drawings are placed in the images, one of `pipeline.rendering.render.FRAMINGS`.
    """

    optimizer: Literal["adam", "adamw"] = "adamw"
    lr: float = 8e-3
    batch: int = 128
    weight_decay: float = 0.05
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup: float = 0.15
    label_smoothing: float = 0.1
    augment: str = str(Augmentation())
    encoding: str = "order"
    framing: str = "centred"

    def __post_init__(self) -> None:
        _check_types(self)
        _check(0 < self.lr <= 1, "lr must be above 0 and at most 1", self.lr)
        _check(self.batch >= 1, "batch must be at least 1", self.batch)
        _check(self.batch <= _MOST_IN_BATCH, f"batch must be at most {_MOST_IN_BATCH}", self.batch)
        _check(0 <= self.weight_decay <= 1, "weight_decay must lie in 0..1", self.weight_decay)
        _check(0 <= self.warmup <= 0.9, "warmup must lie in 0..0.9", self.warmup)
        _check(0 <= self.label_smoothing <= 0.9, "label_smoothing must lie in 0..0.9", self.label_smoothing)
        object.__setattr__(self, "augment", canonical(self.augment))
        if self.optimizer == "adam":
            _check(self.weight_decay == 0, "adam has no weight decay: take adamw or 0", self.weight_decay)
        if self.schedule == "constant":
            _check(self.warmup == 0, "a constant schedule has no warmup: take cosine or 0", self.warmup)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Recipe):
    """The configuration of a run: a recipe, and the network, classes and images that it is for.

    Attributes:
        network: a name in `model.networks.NETWORKS`, which `make_network` checks.
        classes: the words in label order.
        epochs: passes over the training drawings.
        seed: the seed of the first weights, the order of drawings, the augmentation and the dropout.
        image_size: pixels a side, a multiple of 16 from 16 to 256.
        line_width: pixels, 0.5 to 16.
        precision: the number format that the network computes in; parameters and statistics are always float32.
        start: SHA-256 of the arrays of the checkpoint that the run starts from; None starts from random weights.
    """

    network: str
    classes: tuple[str, ...]
    epochs: int
    seed: int = 0
    image_size: int = IMAGE_SIZE
    line_width: float = LINE_WIDTH
    precision: Literal["float32", "bfloat16"] = "float32"
    start: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(len(self.classes) >= 2, "at least 2 classes are needed", len(self.classes))
        _check(len(set(self.classes)) == len(self.classes), "a class must be named once", self.classes)
        _check(self.epochs >= 1, "epochs must be at least 1", self.epochs)
        _check(0 <= self.seed < 2**32, "seed must lie in 0..2**32-1", self.seed)
        _check(
            16 <= self.image_size <= 256 and self.image_size % 16 == 0,
            "image_size must be a multiple of 16 in 16..256",
            self.image_size,
        )
        _check(0.5 <= self.line_width <= 16, "line_width must lie in 0.5..16", self.line_width)
        _check(self.start is None or isinstance(self.start, str), "start must be a SHA-256 or null", self.start)
        self.render_config()

    def render_config(self) -> RenderConfig:
        """The render settings of the run, in training, evaluation and prediction."""
        return RenderConfig(self.image_size, self.line_width, self.encoding, self.framing)

    def augmentation(self) -> Augmentation | None:
        """The augmentation of the run's training drawings; None if there is none."""
        return Augmentation.parse(self.augment)

    def to_json(self) -> str:
        """The configuration as a JSON object, with one field in each line, in a fixed order."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse a configuration that `to_json` wrote.

        Raises:
            UsageError: the text is not a JSON object, or a field is missing, unknown or out of range.
        """
        try:
            stored = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"the configuration is not JSON: {error}") from error
        if not isinstance(stored, dict):
            raise UsageError(f"the configuration must be a JSON object, found {type(stored).__name__}")
        known = [field.name for field in dataclasses.fields(cls)]
        # Every field is required, so that a change of a default cannot change an old run.
        if missing := [name for name in known if name not in stored]:
            raise UsageError(f"the configuration lacks {', '.join(missing)}")
        if unknown := [name for name in stored if name not in known]:
            raise UsageError(f"the configuration has unknown fields: {', '.join(unknown)}")
        if isinstance(stored["classes"], list):
            stored["classes"] = tuple(stored["classes"])
        return cls(**stored)


def default_epochs(drawings: int, epochs: int = EPOCHS) -> int:
    """The number of epochs for a number of training drawings; 6,000 to 12,000 drawings get `epochs`.

    More than 12,000 drawings get fewer, in inverse proportion to the cube root of their number, so that the steps still
    increase. Fewer than 6,000 get more, up to `MAX_EPOCHS`.

    >>> [default_epochs(n) for n in (300, 1_600, 6_400, 12_000, 100_000, 1_000_000, 9_000_000)]
    [60, 60, 32, 32, 16, 7, 4]
    """
    drawings = max(1, drawings)
    scale = max(1.0, math.sqrt(6_000 / drawings)) * min(1.0, math.cbrt(12_000 / drawings))
    return max(1, min(MAX_EPOCHS, round(epochs * scale)))


def default_batch(batch: int, drawings: int) -> int:
    """A recipe's batch, halved again and again if `drawings` are too few for it.

    It is halved down to 128 until an epoch has 64 steps, and then down to 8 until an epoch has 8 steps.
    """
    while (batch > 128 and drawings < 64 * batch) or (batch > 8 and drawings < 8 * batch):
        batch //= 2
    return batch


def _check(good: bool, expected: str, found: object) -> None:
    if not good:
        raise UsageError(f"{expected}, found {found!r}")


def _check_types(config: Recipe) -> None:
    """Check that each field has the type of its annotation; an integer is accepted as a float."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if get_origin(field.type) is Literal:
            choices = get_args(field.type)
            _check(value in choices, f"{field.name} must be {' or '.join(choices)}", value)
        elif field.type is float:
            good = isinstance(value, int | float) and not isinstance(value, bool)
            _check(good, f"{field.name} must be a number", value)
        elif field.name == "classes":
            good = isinstance(value, tuple) and all(isinstance(word, str) for word in value)
            _check(good, "classes must be a tuple of words", value)
        elif isinstance(field.type, type):
            _check(type(value) is field.type, f"{field.name} must be {field.type.__name__}", value)
