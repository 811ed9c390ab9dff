"""`sketchpipe export --to FOLDER/`: a folder for the Hugging Face Hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.export.export import Exported
    from model.scoring.loaded import LoadedRun
    from pipeline.shards.manifest import Manifest


def write_hub(run: Path | None, to: Path, shards: Path | None, *, as_json: bool) -> None:
    """Write the folder of a run for the Hub, and print what was written and which command uploads it.

    Args:
        run: the run that `--run` names.
        to: the folder.
        shards: the folder that `--shards` names.
        as_json: whether to print JSON.

    Raises:
        SketchpipeError: the run cannot be read, the folder cannot be written, or the model gives other probabilities.
    """
    import shlex

    from model.compute.devices import choose_devices
    from pipeline.cli.options import say, show, show_json, size
    from pipeline.cli.run_options import chosen_run
    from pipeline.interrupts import unwinding

    chosen = chosen_run(run)
    choose_devices("cpu")  # as for the ONNX model alone
    from model.export.hub import check_hub_folder, hub_files, write_hub_folder
    from model.scoring.loaded import load_best, rounded

    check_hub_folder(to)
    loaded = load_best(chosen)
    exported, told = _checked(rounded(loaded), shards)
    files = hub_files(loaded, None if exported is None else exported.content, _own_manifest(loaded))
    with unwinding():  # so that no part of the folder is left behind
        write_hub_folder(to, files)
    total = sum(map(len, files.values()))
    upload = f"hf upload USER/NAME {shlex.quote(str(to))} ."
    if as_json:
        described: dict[str, Any] = {
            "run": str(chosen.folder),
            "folder": str(to),
            "files": {name: len(content) for name, content in files.items()},
            "largest_difference": None if exported is None else exported.difference,
            "upload": upload,
        }
        show_json(described)
        return
    show(f"{to}: {size(total)}, {chosen.config.network} for {len(chosen.config.classes)} classes")
    if exported is not None:
        show(f"onnx/model.onnx: checked by onnxruntime on {told}: largest difference {exported.difference:.1e}")
    say(f"to upload it to the Hugging Face Hub: {upload}")


def _checked(loaded: "LoadedRun", shards: Path | None) -> "tuple[Exported | None, str]":
    """The ONNX model of a run, and the drawings that it was checked on; None without the extra, which is said."""
    from pipeline.cli.export_onnx import check_drawings, check_shards, missing_extra
    from pipeline.cli.options import say
    from pipeline.errors import InputError

    if missing := missing_extra():
        say(
            f"onnx/model.onnx is left out, because it needs {', '.join(missing)}: in sketchpipe's folder, "
            "pip install -e '.[onnx]'"
        )
        return None, ""
    from model.export.export import export_run
    from model.runs.weights import name_of

    try:
        folder = check_shards(loaded.run, shards)
    except InputError:  # the folder does not need them
        folder = None
    checked = check_drawings(loaded.run, folder)
    say(f"converting {name_of(loaded.run.folder)}, and checking it on {checked.counted}")
    return export_run(loaded, checked.images), checked.told


def _own_manifest(loaded: "LoadedRun") -> "Manifest | None":
    """The manifest of the shards that the run was trained on; None if they are gone or were built anew."""
    from pipeline.errors import SketchpipeError
    from pipeline.shards.manifest import read_manifest

    try:
        manifest = read_manifest(loaded.run.shards_folder())
    except SketchpipeError:
        return None
    return manifest if manifest.checksum == loaded.run.card.shards_checksum else None
