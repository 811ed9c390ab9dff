"""`sketchpipe export --to model.onnx`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.runs.folder import Run
    from pipeline.arrays import UInt8Array

EXTRA = ("jax2onnx", "onnx", "onnxruntime")


def missing_extra() -> list[str]:
    """The packages of the extra `onnx` that are not installed."""
    from importlib.util import find_spec

    return [name for name in EXTRA if find_spec(name) is None]


def write_onnx(run: Path | None, to: Path, shards: Path | None, *, as_json: bool) -> None:
    """Write the ONNX model of a run, checked on drawings of the shards, and print what was written.

    Args:
        run: the run that `--run` names.
        to: the file.
        shards: the folder that `--shards` names.
        as_json: whether to print JSON.

    Raises:
        SketchpipeError: the run cannot be read, the file cannot be written, or the model gives other probabilities.
    """
    import hashlib

    from model.compute.devices import choose_devices
    from pipeline.cli.options import say, show, show_json, size
    from pipeline.cli.run_options import chosen_run
    from pipeline.errors import UsageError
    from pipeline.storage.outputs import check_output_path, write_output

    if missing := missing_extra():
        raise UsageError(f"export needs {', '.join(missing)}: in sketchpipe's folder, pip install -e '.[onnx]'")
    check_output_path(to, (".onnx",), "model")
    chosen = chosen_run(run)
    folder = check_shards(chosen, shards)
    choose_devices("cpu")  # GPUs multiply in lower precision, which would look like an error of the file
    from model.export.export import export_run
    from model.runs.weights import name_of
    from model.scoring.loaded import load_best

    loaded = load_best(chosen)
    checked = check_drawings(chosen, folder)
    say(f"converting {name_of(chosen.folder)}, and checking it on {checked.counted}")
    exported = export_run(loaded, checked.images)
    write_output(to, exported.content)
    if as_json:
        described = {
            "run": str(chosen.folder),
            "file": str(to),
            "bytes": len(exported.content),
            "sha256": hashlib.sha256(exported.content).hexdigest(),
            "shards": None if folder is None else str(folder),
            "drawings": checked.counts,
            "largest_difference": exported.difference,
            "metadata": exported.metadata,
        }
        show_json(described)
        return
    held = f"{size(len(exported.content))}, {chosen.config.network} for {len(chosen.config.classes)} classes"
    show(f"{to}: {held}")
    show(f"checked by onnxruntime on {checked.told}: largest difference {exported.difference:.1e}")


@dataclass(frozen=True)
class CheckDrawings:
    """The drawings that a model is checked on.

    Attributes:
        images: (N, H, W, C) uint8.
        counts: how many are of which split, or of the built-in sample.
        counted: their number, in words.
        told: their number and where they are from, in words.
    """

    images: "UInt8Array"
    counts: dict[str, int]
    counted: str
    told: str


def check_shards(run: "Run", named: Path | None) -> Path | None:
    """The folder of the shards that a model of a run is checked on; None for the built-in sample.

    Weights without their training have no shards of their own.

    Raises:
        InputError: the run's shards are gone.
    """
    return named or (run.shards_folder() if run.about is None else None)


def check_drawings(run: "Run", folder: Path | None) -> CheckDrawings:
    """Render the drawings that a model of a run is checked on.

    Args:
        run: the run.
        folder: shards; None takes the built-in sample.

    Raises:
        SketchpipeError: the shards cannot be read.
    """
    from model.export.export import CHECK_DRAWINGS, check_images
    from model.export.sample_drawings import sample_drawings
    from pipeline.rendering.render import render
    from pipeline.shards.manifest import read_manifest
    from pipeline.wording import counted

    if folder is None:
        images = render(sample_drawings(CHECK_DRAWINGS), run.config.render_config())
        drawings = counted(len(images), "synthetic drawing")
        return CheckDrawings(images, {"sample": len(images)}, drawings, f"{drawings} of the built-in sample")
    images, counts = check_images(folder, run.config.render_config())
    drawings = counted(len(images), "synthetic drawing" if read_manifest(folder).synthetic else "drawing")
    splits = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    few = f", fewer than the usual {CHECK_DRAWINGS:,}" if len(images) < CHECK_DRAWINGS else ""
    return CheckDrawings(images, counts, drawings, f"{drawings} of {folder} ({splits}){few}")
