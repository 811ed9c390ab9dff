"""`sketchpipe export`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.run_options import RunOption

EXTRA = ("jax2onnx", "onnx", "onnxruntime")


def export(
    run: RunOption = None,
    to: Annotated[Path, typer.Option(help="ONNX file to write.")] = Path("model.onnx"),
    shards: Annotated[Path | None, typer.Option(help="Shards to check the model on; the run's own by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with the file's metadata.")] = False,
) -> None:
    """Export a run as an ONNX model for an app.

    The model takes any number of uint8 images, scales them itself and gives probabilities; its metadata names the
    classes. Reads the run's best checkpoint; computes on the CPU. Before the file is written, the probabilities that
    onnxruntime computes are compared with the run's own on 1,000 drawings: those of the test split, then of the others
    if it has too few. A difference of 0.0001 or more is an error. Needs an extra, installed in sketchpipe's folder: pip install -e '.[onnx]'.

    Example: sketchpipe export --to model.onnx
    """
    import hashlib
    from importlib.util import find_spec

    from model.compute.devices import choose_devices
    from pipeline.cli.options import say, show, show_json, size
    from pipeline.cli.run_options import chosen_run
    from pipeline.errors import UsageError
    from pipeline.shards.manifest import read_manifest
    from pipeline.storage.outputs import check_output_path, write_output
    from pipeline.wording import counted

    if missing := [name for name in EXTRA if find_spec(name) is None]:
        raise UsageError(f"export needs {', '.join(missing)}: in sketchpipe's folder, pip install -e '.[onnx]'")
    check_output_path(to, (".onnx",), "model")
    chosen = chosen_run(run)
    folder = shards or chosen.shards_folder()
    choose_devices("cpu")  # GPUs multiply in lower precision, which would look like an error of the file
    from model.export.export import CHECK_DRAWINGS, check_images, export_run
    from model.scoring.loaded import load_best

    loaded = load_best(chosen)
    images, counts = check_images(folder, chosen.config.render_config())
    drawings = counted(len(images), "synthetic drawing" if read_manifest(folder).synthetic else "drawing")
    say(f"converting {chosen.folder}, and checking it on {drawings}")
    exported = export_run(loaded, images)
    write_output(to, exported.content)
    if as_json:
        described = {
            "run": str(chosen.folder),
            "file": str(to),
            "bytes": len(exported.content),
            "sha256": hashlib.sha256(exported.content).hexdigest(),
            "shards": str(folder),
            "drawings": counts,
            "largest_difference": exported.difference,
            "metadata": exported.metadata,
        }
        show_json(described)
        return
    held = f"{size(len(exported.content))}, {chosen.config.network} for {len(chosen.config.classes)} classes"
    show(f"{to}: {held}")
    splits = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    few = f", fewer than the usual {CHECK_DRAWINGS:,}" if len(images) < CHECK_DRAWINGS else ""
    checked = f"checked by onnxruntime on {drawings} of {folder} ({splits}){few}"
    show(f"{checked}: largest difference {exported.difference:.1e}")
