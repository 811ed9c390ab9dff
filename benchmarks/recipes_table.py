"""The variants that `recipes.py` trains, by name, and how several of them are combined."""

import json
from dataclasses import fields, replace
from typing import Any

from settings_networks import Variant
from settings_table import Setting

from model.config import Recipe

# Changes of `Setting`; "recipe" and "network" are changes of those of sketchnet.
CHANGES: dict[str, dict[str, Any]] = {
    "base": {},
    # Length and rate: epochs=N and lr=X beside these.
    "lr8": {"recipe": {"lr": 8e-3}},
    "lr12": {"recipe": {"lr": 1.2e-2}},
    "lr16": {"recipe": {"lr": 1.6e-2}},
    "batch64": {"recipe": {"batch": 64}},
    "batch256": {"recipe": {"batch": 256}},
    # The average is scored beside the last weights in each run; this one is over more steps.
    "long-average": {"average": 0.9995},
    "silu": {"network": {"activation": "silu"}},
    # Classes that have more drawings than others.
    "balanced": {"balance": 1.0},
    "half-balanced": {"balance": 0.5},
    "prior": {"prior": 1.0},
    # Augmentation.
    "prefix15": {"recipe": {"augment": "prefix=0.15,shortest=0.25"}},
    "prefix30": {"recipe": {"augment": "prefix=0.3,shortest=0.25"}},
    "prefix50": {"recipe": {"augment": "prefix=0.5,shortest=0.25"}},
    "less-rotation": {"recipe": {"augment": "rotation=8,shear=0.1"}},
    "drop-strokes": {"recipe": {"augment": "dropout=0.07"}},
    # Regularization.
    "no-smoothing": {"recipe": {"label_smoothing": 0.0}},
    "smoothing5": {"recipe": {"label_smoothing": 0.05}},
    "smoothing20": {"recipe": {"label_smoothing": 0.2}},
    "decay2": {"recipe": {"weight_decay": 0.02}},
    "decay15": {"recipe": {"weight_decay": 0.15}},
    "dropout10": {"network": {"dropout": 0.1}},
    "dropout20": {"network": {"dropout": 0.2}},
    # Shapes of at most 0.7 million parameters for 345 classes; sketchnet has 595,881 and 25.9 MFLOP an image.
    "middle": {"network": {"widths": (32, 96, 176)}},  # 639,865; 31.9
    "two-middle": {"network": {"blocks": (1, 2, 1)}},  # 669,865; 33.9
    "wide-middle": {"network": {"widths": (48, 96, 176)}},  # 669,401; 40.3
    "two-wider": {"network": {"widths": (40, 80, 160), "blocks": (1, 2, 1)}},  # 642,777; 42.8
    "fine": {
        "network": {"stem": (5, 2, 16, False), "widths": (16, 32, 64, 192), "blocks": (1, 1, 1, 1)}
    },  # 600,553; 35
    "stem24": {"network": {"stem": (5, 2, 24, True)}},  # 599,057; 28.4
    "squeeze": {"network": {"squeeze": (0, 1, 2)}},  # 606,701; 26.0
    "squeeze-last": {"network": {"squeeze": (2,)}},  # 605,313; 26.0
    "depthwise-last": {
        "network": {"widths": (32, 96, 320), "blocks": (1, 2, 1), "kinds": ("plain", "plain", "depthwise")}
    },  # 576,521; 45.2
    "bottleneck-last": {
        "network": {"widths": (32, 96, 256), "blocks": (1, 1, 2), "kinds": ("plain", "plain", "bottleneck")}
    },  # 651,305; 32.8
    # The strokes as sequences beside the image.
    "strokes": {"network": {"widths": (32, 64, 160), "sequence": (48, 96, 128), "kernel": 3}},  # 667,657; 35.2
    "strokes-even": {"network": {"widths": (32, 64, 128), "sequence": (64, 128, 160), "kernel": 3}},  # 671,817; 41.3
    "strokes-long": {"network": {"widths": (32, 64, 128), "sequence": (48, 96, 128), "kernel": 5}},  # 647,785; 39.8
    # Larger ones, to learn from.
    "teacher": {"network": {"widths": (48, 112, 256), "blocks": (1, 2, 1)}},  # 1,390,249; 78.4
    "large-teacher": {"network": {"widths": (64, 128, 384), "blocks": (2, 2, 2)}},  # 5,257,769; 217
    # Learning from the networks of --teacher; "live" ones predict the augmented images of each step.
    "taught": {"teaching": 0.7, "temperature": 2.0},
    "taught-sharp": {"teaching": 0.7, "temperature": 1.0},
    "only-taught": {"teaching": 1.0, "temperature": 2.0},
    "live": {"teaching": 0.9, "temperature": 2.0, "live": True},
}
AVERAGE = 0.998  # costs 1 % of a step


def setting_of(name: str, epochs: int) -> Setting:
    """The setting of a variant: names of `CHANGES` and assignments of fields, joined by "+".

    An assignment names a field of `Setting`, of sketchnet's recipe or of `Variant`; its value is JSON or a text.

    Raises:
        ValueError: a part is neither.

    >>> setting_of("silu+lr=0.01+widths=[32,96,176]", 6).network
    {'activation': 'silu', 'widths': [32, 96, 176]}
    """
    setting = Setting(epochs=epochs, average=AVERAGE)
    for part in name.split("+"):
        setting = changed(setting, CHANGES[part] if part in CHANGES else assigned(part))
    return setting


def assigned(part: str) -> dict[str, Any]:
    """The change of `Setting` that a text "field=value" means.

    Raises:
        ValueError: there is no such field.
    """
    field, equals, text = part.partition("=")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if equals and field in {one.name for one in fields(Setting)} - {"against", "recipe", "network"}:
        return {field: value}
    if equals and field in {one.name for one in fields(Recipe)}:
        return {"recipe": {field: value}}
    if equals and field in Variant.__dataclass_fields__:
        return {"network": {field: value}}
    raise ValueError(f"{part!r}: expected field=value or one of {', '.join(CHANGES)}")


def changed(setting: Setting, change: dict[str, Any]) -> Setting:
    """A setting with some fields replaced; those of the recipe and the network are added to what it has."""
    merged = {name: getattr(setting, name) | change.get(name, {}) for name in ("recipe", "network")}
    return replace(setting, **{**change, **merged})
