"""Exports a run as a page: one HTML file in which people draw and the network guesses, without any other file or host.

The page holds the kernels of training, compiled to WebAssembly, the network's weights in half precision, and the
program in `page/`: `engine.js` calls the kernels, the other files are what people see.
"""

import base64
import hashlib
import importlib.util
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from model.config import IMAGE_SIZE, TrainConfig
from model.export.page_engine import KERNELS, PageEngine, make_engine
from model.export.sample_drawings import first_drawings, sample_drawings
from model.runs.weights import BUILT_IN
from model.scoring.evaluate import evaluate_run
from model.scoring.loaded import LoadedRun
from model.specs import network_cost
from pipeline.browser.compile import compile_kernels
from pipeline.drawings import Drawings, concat
from pipeline.errors import InputError
from pipeline.progress import Progress, untold
from pipeline.shards.manifest import ATTRIBUTION, SYNTHETIC, read_manifest
from pipeline.shards.read import open_split
from pipeline.wording import visible

if TYPE_CHECKING:
    from model.export.proof import Proof

SCRIPTS = (
    "engine.js", "elements.js", "storage.js", "drawing.js", "ndjson.js", "kept.js", "paint.js", "pad.js", "replay.js",
    "guesses.js", "image_view.js", "ask.js", "about.js", "files.js", "game.js", "main.js",
)  # fmt: skip
PROOF_DRAWINGS = 1000  # that a page is proved with, unless the network is large
_PROOF_FLOPS = 1e11  # of all drawings together: some ten seconds
ASKED = 0.5  # of a class's drawings that the network must name for the game to ask for it
UNSURE_BELOW = 0.3  # of probability: the page then says that it is not sure yet
TITLE = "Draw, and it guesses"
_SCORES = {"drawings", "top1", "top3"}
_POLICY = (
    "default-src 'none'; script-src 'sha256-{}' 'wasm-unsafe-eval'; style-src 'sha256-{}'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        content: the bytes of the HTML file.
        weights: how many bytes of it are weights, as base64.
        proof: how it was proved; None if wasmtime is not installed.
    """

    content: bytes
    weights: int
    proof: "Proof | None"


def export_page(loaded: LoadedRun, shards: Path | None, progress: Progress = untold) -> Page:
    """Make the page of a run's best checkpoint, and prove it if wasmtime is installed.

    Args:
        loaded: the run.
        shards: the folder of shards with whose validation split the page is proved and its classes are scored; None
            proves it with the built-in sample.
        progress: counts the drawings that are scored.

    Raises:
        MismatchError: a page cannot run this network, or computes something else than sketchpipe.
        CheckpointError: a weight is not finite in half precision.
    """
    engine = make_engine(loaded)
    module = compile_kernels(KERNELS)
    proof = None
    if can_prove():
        from model.export.proof import prove

        proof = prove(module, engine, loaded, proof_drawings(shards, _proof_size(loaded.run.config)))
    weights = base64.b64encode(engine.weights).decode()
    style, program = _text("page.css"), _program()
    content = _template().render(
        title=TITLE,
        policy=Markup(_POLICY.format(*map(_digest, (program, style)))),
        style=Markup(style),
        about=Markup(_json_in_html(about_of(engine, shards, progress))),
        kernels=Markup(base64.b64encode(module).decode()),
        weights=Markup(weights),
        program=Markup(program),
    )
    return Page(content.encode(), len(weights), proof)


def _proof_size(config: TrainConfig) -> int:
    """With how many drawings a page is proved; fewer if the network is large."""
    flops = network_cost(config.network, len(config.classes))[2] * (config.image_size / IMAGE_SIZE) ** 2
    return max(1, min(PROOF_DRAWINGS, int(_PROOF_FLOPS // flops)))


def can_prove() -> bool:
    """Whether wasmtime is installed, with which a page is proved."""
    return importlib.util.find_spec("wasmtime") is not None


def proof_drawings(shards: Path | None, count: int = PROOF_DRAWINGS) -> Drawings:
    """Some drawings to prove a page with: the first of the validation split, else of the built-in sample.

    Raises:
        InputError: the split is empty.
    """
    if shards is None:
        return sample_drawings(count)
    parts = list(first_drawings(open_split(shards, "validation"), count))
    if not parts:
        raise InputError(f"{shards}: has no validation drawings to prove the page with; name other shards by --shards")
    return concat(parts)


def about_of(engine: PageEngine, shards: Path | None, progress: Progress = untold) -> dict[str, Any]:
    """What the page knows of the run, as JSON."""
    loaded = engine.loaded
    run, config, render = loaded.run, loaded.run.config, loaded.run.config.render_config()
    scores, recall = _scores(loaded, shards, progress)
    return {
        "name": visible(os.fsencode(run.folder.resolve().name).decode(errors="backslashreplace")),
        "is_built_in": run.folder.parent == BUILT_IN,
        "network": config.network,
        "classes": config.classes,
        "size": render.size,
        "channels": render.channels,
        "encoding": render.encoding,
        "framing": render.framing,
        "asked": [k for k, word in enumerate(config.classes) if recall is None or recall.get(word, 0) >= ASKED],
        "unsure_below": UNSURE_BELOW,
        "accuracy": scores,
        "drawings_trained_on": _drawings_trained_on(loaded, shards),
        "synthetic": run.card.synthetic,
        "attribution": SYNTHETIC if run.card.synthetic else ATTRIBUTION,
        "version": run.card.versions.get("sketchpipe", "unknown"),
        "engine": engine.fields,
    }


def _scores(
    loaded: LoadedRun, shards: Path | None, progress: Progress
) -> tuple[dict[str, Any] | None, Mapping[str, float] | None]:
    """How good a run is, and the share of each class's drawings that it names; None where that is not known."""
    about = loaded.run.about
    if about is not None and (told := _numbers_in(about.get("test"))).keys() >= _SCORES:
        scores = {"split": "test", **{name: told[name] for name in sorted(_SCORES)}}
        return scores, _numbers_in(about.get("test_by_class")) or None
    if shards is None:
        return None, None
    found = evaluate_run(loaded, shards, "validation", progress=progress).as_dict()
    recall = {word: one["top1"] for word, one in found["classes"].items() if one["drawings"]}
    split = "validation" if read_manifest(shards).checksum == loaded.run.card.shards_checksum else "other"
    return {"split": split, **{name: found[name] for name in sorted(_SCORES)}}, recall


def _numbers_in(value: Any) -> dict[str, float]:
    """The fields of a JSON object that are numbers: a card is for people, and may hold anything."""
    fields = value if isinstance(value, dict) else {}
    return {name: one for name, one in fields.items() if isinstance(one, int | float) and math.isfinite(one)}


def _drawings_trained_on(loaded: LoadedRun, shards: Path | None) -> int | None:
    """The number of drawings that a run was trained on; None where that is not known."""
    run = loaded.run
    if run.about is not None:
        drawings: int | None = run.about["training"]["drawings"]
        return drawings
    if shards is None or (manifest := read_manifest(shards)).checksum != run.card.shards_checksum:
        return None
    return manifest.rows("train")


def _json_in_html(value: Any) -> str:
    """JSON that ends no element: a word may hold anything."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _program() -> str:
    """The scripts as one, without their comments and indentation, which take a fifth of it."""
    parts = "\n".join(_text(name) for name in SCRIPTS)
    lines = (line.strip() for line in parts.splitlines())
    kept = "\n".join(line for line in lines if line and not line.startswith(("//", "/*", "*")))
    return f'(() => {{\n"use strict";\n{kept}\n}})();\n'


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _text(name: str) -> str:
    return (resources.files(__package__) / "page" / name).read_text("utf-8")


def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(_text("page.html"))
