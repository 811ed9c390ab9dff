"""The settings that `settings.py` compares; docs/training.md has the results."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One training.

    Attributes:
        against: the setting that it is compared with.
        epochs: passes over 8,860 drawings.
        recipe: fields of `model.config.Recipe` that differ from sketchnet's.
        network: fields of `Variant`.
        line_width: pixels.
        size: pixels a side.
        mixup: the parameter of mixup's beta distribution; 0 means no mixup.
        average: the decay of a running average of the weights and of batch norm's statistics, which `settings.py` then
            scores; 0 means no average. The decay rises to this value from a tenth, because otherwise the first weights
            would stay in the average.
        balance: the loss of a drawing is divided by this power of the number of its class's training drawings.
        prior: the logits in the loss are those of the network plus so many times the logarithm of the class's share of
            the training drawings (Menon et al., arXiv:2007.07314); with 1 the network scores all classes alike.
        teaching: the share of the loss that compares with a teacher; 0 means none.
        temperature: by which the logits of network and teacher are divided in that comparison.
        live: whether the teacher predicts the augmented images in each step. Otherwise it predicted each drawing once.
    """

    against: str | None = None
    epochs: int = 12
    recipe: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    line_width: float = 1.25
    size: int = 64
    mixup: float = 0.0
    average: float = 0.0
    balance: float = 0.0
    prior: float = 0.0
    teaching: float = 0.0
    temperature: float = 1.0
    live: bool = False

    @property
    def taught(self) -> bool:
        """Whether the loss needs a teacher's stored logits."""
        return self.teaching > 0 and not self.live


_DEEP = {"widths": (32, 128, 128), "blocks": (1, 1, 2)}
_FINE = {"stem": (5, 2, 16, False), "widths": (16, 32, 64, 192), "blocks": (1, 1, 1, 1)}
_WIDE = {"widths": (32, 128, 192)}
_FULL = "rotation=20,shear=0.3,stretch=0.25,dropout=0.05,jitter=1.5,line_width=0.8..1.25"
_MORE = "rotation=20,shear=0.3,stretch=0.25,prefix=0.15,shortest=0.5,dropout=0.05,jitter=1.5,line_width=0.8..1.25"

SETTINGS = {
    "base": Setting(None),
    "32 epochs": Setting("base", epochs=32),
    "32 epochs, weight decay 0.3": Setting("32 epochs", epochs=32, recipe={"weight_decay": 0.3}),
    "32 epochs, batch 64": Setting("32 epochs", epochs=32, recipe={"batch": 64, "lr": 3e-3}),
    "32 epochs, dropout before the last layer": Setting("32 epochs", epochs=32, network={"dropout": 0.3}),
    "32 epochs, average of weights": Setting("32 epochs", epochs=32, average=0.998),
    "64 epochs": Setting("32 epochs", epochs=64),
    "64 epochs, more augmentation": Setting("64 epochs", epochs=64, recipe={"augment": _FULL}),
    "32 epochs, more of every augmentation": Setting("32 epochs", epochs=32, recipe={"augment": _MORE}),
    "32 epochs, 128 channels in the second stage": Setting("32 epochs", epochs=32, network=_WIDE),
    "32 epochs, 128 channels, two blocks at the end": Setting("32 epochs", epochs=32, network=_DEEP),
    "128 channels in the second stage": Setting("base", network=_WIDE),
    "a stage of 16 channels at 32x32": Setting("base", network=_FINE),
    "palette": Setting("base", recipe={"encoding": "palette"}),
    "gray": Setting("base", recipe={"encoding": "gray"}),
    "corner": Setting("base", recipe={"framing": "corner"}),
    "no augmentation": Setting("base", recipe={"augment": "off"}),
    "without rotation": Setting("base", recipe={"augment": "rotation=0"}),
    "without shear": Setting("base", recipe={"augment": "shear=0"}),
    "without scale": Setting("base", recipe={"augment": "scale=1"}),
    "without stretch": Setting("base", recipe={"augment": "stretch=0"}),
    "without shift": Setting("base", recipe={"augment": "shift=0"}),
    "without mirror": Setting("base", recipe={"augment": "mirror=0"}),
    "with prefix": Setting("base", recipe={"augment": "prefix=0.15,shortest=0.5"}),
    "with dropout of strokes": Setting("base", recipe={"augment": "dropout=0.07"}),
    "with jitter": Setting("base", recipe={"augment": "jitter=2"}),
    "with line width": Setting("base", recipe={"augment": "line_width=0.7..1.4"}),
    "lines of 1.75 pixels": Setting("base", line_width=1.75),
    "squeeze-and-excite": Setting("base", network={"squeeze": (0, 1, 2)}),
    "depthwise": Setting("base", network={"kinds": ("depthwise",) * 3, "widths": (64, 128, 256)}),
    "stem 3x3": Setting("base", network={"stem": (3, 2, 16, True)}),
    "stem 8x8, stride 4": Setting("base", network={"stem": (8, 4, 32, False)}),
    "stem 4x4, stride 4": Setting("base", network={"stem": (4, 4, 32, False)}),
    "two blocks in the second stage": Setting("base", network={"blocks": (1, 2, 1)}),
    "SiLU": Setting("base", network={"activation": "silu"}),
    "dropout before the last layer": Setting("base", network={"dropout": 0.2}),
    "lr 0.002": Setting("base", recipe={"lr": 2e-3}),
    "lr 0.008": Setting("base", recipe={"lr": 8e-3}),
    "lr 0.016": Setting("base", recipe={"lr": 1.6e-2}),
    "32 epochs, lr 0.008": Setting("32 epochs", epochs=32, recipe={"lr": 8e-3}),
    "no label smoothing": Setting("base", recipe={"label_smoothing": 0.0}),
    "mixup": Setting("base", mixup=0.3),
    "average of weights": Setting("base", average=0.998),
    "96 pixels": Setting("base", size=96, line_width=1.875),
}
