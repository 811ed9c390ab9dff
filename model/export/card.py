"""The metadata of an exported file: all that somebody needs to use it who has only the file."""

import json
import os
from typing import Any

from model.config import TrainConfig
from model.scoring.loaded import LoadedRun
from pipeline.rendering.augment_kernels import CANVAS, ENLARGE
from pipeline.rendering.raster import ENCODINGS
from pipeline.shards.manifest import ATTRIBUTION, SYNTHETIC

_COLOURS = {
    "gray": "Strokes are white, in the one channel.",
    "palette": "The first stroke has the first of these RGB colours, the second stroke the second, and so on; the "
    f"colours repeat after the last: {json.dumps(ENCODINGS['palette'].table.tolist())}.",
    "order": "Each segment between two points has an RGB colour: red is 255; green is 255 times the length drawn up to "
    "the segment's middle, over the length of all strokes; blue is 255 * (t + 2) / 4, where t = v / (|u| + |v|) of a "
    "segment of direction (u, v), or 2 - t instead of t where u < 0 and v >= 0, -2 - t where u < 0 and v < 0; both "
    "rounded.",
}


def metadata_of(loaded: LoadedRun) -> dict[str, str]:
    """The file's metadata; each value is a text: a word, a number, a sentence, or JSON for lists."""
    run, config = loaded.run, loaded.run.config
    render = config.render_config()
    top1 = loaded.position.validation_top1
    return {
        "classes": json.dumps(config.classes, ensure_ascii=False),
        "image_size": str(config.image_size),
        "channels": str(render.channels),
        "encoding": config.encoding,
        "framing": config.framing,
        "line_width": f"{render.width:g}",
        **({} if render.margin is None else {"margin": f"{render.margin:g}"}),
        "drawing": " ".join(_recipe(config)),
        "network": config.network,
        "run": os.fsencode(run.folder.resolve().name).decode(errors="backslashreplace"),  # may not be UTF-8
        "checkpoint": loaded.checkpoint,
        "checkpoint_sha256": loaded.arrays_sha256,
        **({} if top1 is None else {"validation_top1": f"{top1:.4f}"}),
        "temperature": f"{loaded.temperature:g}",
        "synthetic": json.dumps(run.card.synthetic),
        "attribution": SYNTHETIC if run.card.synthetic else ATTRIBUTION,
        "sketchpipe": run.card.versions.get("sketchpipe", "unknown"),
    }


def describe_file(model: Any, metadata: dict[str, str]) -> None:
    """Write the metadata, and descriptions of the input and the output, into an `onnx.ModelProto`."""
    import onnx  # an extra, which the metadata does not need

    onnx.helper.set_model_props(model, metadata)
    classes, size, channels = (metadata[key] for key in ("classes", "image_size", "channels"))
    model.producer_name, model.producer_version = "sketchpipe", metadata["sketchpipe"]
    model.doc_string = (
        f"Classifies drawings: {metadata['network']}, trained by sketchpipe. The metadata's `drawing` says how to turn "
        "drawings into images; column k of the probabilities belongs to the k-th of the metadata's `classes`. Trained "
        f"on: {metadata['attribution']}."
    )
    model.graph.input[0].doc_string = (
        f"(N, {size}, {size}, {channels}) uint8, any number of images, 0-255, light on black, rows from top to bottom. "
        "The model scales them itself."
    )
    model.graph.output[0].doc_string = (
        f"(N, {len(json.loads(classes))}) float32, the probability of each class, in the order of `classes`; rows sum "
        "to 1."
    )


def _recipe(config: TrainConfig) -> list[str]:
    """How the renderer draws images for this run, in sentences from which another renderer can be written."""
    render = config.render_config()
    sentences = [
        "Align the drawing to the top left of a canvas of 256 x 256, x to the right and y down, its larger side 255 "
        "long, and simplify each stroke by Ramer-Douglas-Peucker with epsilon 2, as Quick, Draw!'s simplified drawings "
        "are stored."
    ]
    if render.margin is not None:
        sentences.append(
            f"Scale it so that its larger side is {CANVAS - 2 * render.margin:g} long, but by a factor of {ENLARGE:g} "
            "at most, and move the middle of its bounding box to (128, 128)."
        )
    sentences.append(
        f"Scale the canvas to {config.image_size} x {config.image_size} pixels, all black, and draw each stroke "
        f"antialiased, {render.width:g} pixels wide, with butt caps and miter joins up to a limit of 10, later strokes "
        "over earlier ones; a stroke whose points are all in one place is a dot of that width."
    )
    return [*sentences, _COLOURS[config.encoding]]
