"""`sketchpipe export --to model.onnx`."""

from pathlib import Path

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
    from pipeline.shards.manifest import read_manifest
    from pipeline.storage.outputs import check_output_path, write_output
    from pipeline.wording import counted

    if missing := missing_extra():
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
