"""`sketchpipe export --to doodle.html`, and the page that `sketchpipe draw` opens."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.runs.folder import Run


def page_of(run: "Run") -> bytes:
    """The page of a run, one HTML file that needs no other.

    Raises:
        SketchpipeError: the run cannot be read, or there is no page for its network.
    """
    from model.export.page import export_page

    from model.scoring.loaded import load_best

    page: bytes = export_page(load_best(run))
    return page


def write_page(run: Path | None, to: Path, shards: Path | None, *, as_json: bool) -> None:
    """Write the page of a run, and print what was written.

    Args:
        run: the run that `--run` names.
        to: the file.
        shards: the folder that `--shards` names.
        as_json: whether to print JSON.

    Raises:
        SketchpipeError: the run cannot be read, or the file cannot be written.
    """
    from model.compute.devices import choose_devices
    from pipeline.cli.options import show, show_json, size
    from pipeline.cli.run_options import chosen_run
    from pipeline.errors import UsageError
    from pipeline.storage.outputs import check_output_path, write_output

    if shards is not None:
        raise UsageError("--shards goes with an ONNX model or a folder, not with a page")
    check_output_path(to, (".html", ".htm"), "page")
    chosen = chosen_run(run, or_built_in=True)
    choose_devices("cpu")
    content = page_of(chosen)
    write_output(to, content)
    if as_json:
        show_json({"run": str(chosen.folder), "file": str(to), "bytes": len(content)})
        return
    show(f"{to}: {size(len(content))}, {chosen.config.network} for {len(chosen.config.classes)} classes")
