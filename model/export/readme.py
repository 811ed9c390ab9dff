"""The model card of a folder for the Hugging Face Hub: README.md, whose head in YAML the Hub reads."""

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2

from model.networks import parameter_table
from model.scoring.loaded import LoadedRun
from pipeline.classes import WORDS
from pipeline.wording import counted, visible

TAGS = ("quickdraw", "sketch", "doodle", "drawing", "jax", "flax")
WEAKEST, LISTED = 10, 400  # classes that are listed: the weakest, and of all
_MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]<>#|~$&"})
_SCORES = (
    ("top1", "top-1"),
    ("top3", "top-3"),
    ("map3", "MAP@3"),
    ("balanced_top1", "mean of the top-1 of each class"),
    ("recognized_top1", "top-1 of the drawings that Google's game recognized"),
)


def readme_of(loaded: LoadedRun, card: Mapping[str, Any], metadata: Mapping[str, str], *, has_onnx: bool) -> str:
    """The text of README.md.

    Args:
        loaded: the run.
        card: the content of card.json.
        metadata: what `model.export.card.metadata_of` says of the run.
        has_onnx: whether the folder has an ONNX model.
    """
    config, training = loaded.run.config, card["training"]
    is_google = not training["synthetic"] and set(config.classes) <= set(WORDS)
    split, top1 = _score_of(card)
    by_class = card.get("test_by_class", {})
    return _template().render(
        name=metadata["run"],
        network=config.network,
        tags=[*TAGS, *(["onnx"] if has_onnx else [])],
        is_google=is_google,
        synthetic=training["synthetic"],
        split=split,
        top1=top1,
        drawings=_drawings(training),
        classes=counted(len(config.classes), "class", "classes"),
        words=[*config.classes[:LISTED]],
        more=max(0, len(config.classes) - LISTED),
        parameters=f"{parameter_table(config.network, len(config.classes))[1]:,}",
        training=training,
        precision=config.precision,
        scores=[(label, card["test"][name]) for name, label in _SCORES if name in card.get("test", {})],
        tested=card.get("test", {}).get("drawings"),
        early=card.get("test_early", {}),
        weakest=sorted(by_class.items(), key=lambda one: one[1])[:WEAKEST],
        temperature=f"{loaded.temperature:.4g}",
        fitted=card["calibration"],
        render=metadata,
        shape=f"(N, {config.image_size}, {config.image_size}, {config.render_config().channels})",
        not_for=card.get("not_for", ""),
        has_onnx=has_onnx,
    )


def _score_of(card: Mapping[str, Any]) -> tuple[str, float | None]:
    """The split that the score in the head is of, and the score, from 0 to 1; None if there is none."""
    tested = card.get("test", {}).get("top1")
    return ("validation", card["training"]["validation_top1"]) if tested is None else ("test", tested)


def _drawings(training: Mapping[str, Any]) -> str:
    """What the run was trained on, in words."""
    noun = "synthetic drawing" if training["synthetic"] else "drawing"
    count = training["drawings"]
    return f"{noun}s" if count is None else counted(count, noun)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=False,  # Markdown: words go through `plain`, texts of the head through `quoted`
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "quoted": lambda text: json.dumps(text, ensure_ascii=False),  # JSON's texts are YAML's
        "plain": lambda text: visible(text).translate(_MARKDOWN),
        "percent": lambda share: f"{share:.1%}".replace("%", " %"),
        "number": lambda value: f"{value:,}",
    }
    return environment.from_string(resources.files("model.export").joinpath("hub.md").read_text(encoding="utf-8"))
