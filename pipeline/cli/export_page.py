"""What `sketchpipe export` does for a page, and `sketchpipe draw` too."""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.options import say, show, show_json, size
from pipeline.cli.progress import Bar

if TYPE_CHECKING:
    from model.export.page import Page
    from model.runs.folder import Run


def write_page(run: Path | None, to: Path, shards: Path | None, *, as_json: bool) -> None:
    """Write a run, that is named or the newest, as a page, and say what was written.

    Args:
        run: the folder of the run; None takes the newest, or the one that comes with sketchpipe.
        to: the file.
        shards: what the page is proved on; None takes the run's own, or the built-in sample.
        as_json: whether to print one JSON object instead of lines.
    """
    import hashlib

    from pipeline.cli.run_options import chosen_run
    from pipeline.storage.outputs import check_output_path, write_output
    from pipeline.wording import counted

    check_output_path(to, (".html", ".htm"), "page")
    chosen = chosen_run(run, or_built_in=True)
    page = make_page(chosen, shards)
    write_output(to, page.content)
    if as_json:
        described = {
            "run": str(chosen.folder),
            "file": str(to),
            "bytes": len(page.content),
            "weights_bytes": page.weights,
            "sha256": hashlib.sha256(page.content).hexdigest(),
            "proof": None
            if page.proof is None
            else {"drawings": page.proof.drawings, "largest_difference": page.proof.difference},
        }
        show_json(described)
        return
    show(f"{to}: {size(len(page.content))}, {chosen.config.network} for {len(chosen.config.classes)} classes")
    if page.proof is not None:
        show(
            f"proved on {counted(page.proof.drawings, 'drawing')}: the same strokes and pixels, probabilities differ by "
            f"at most {page.proof.difference:.1e}"
        )
        if page.proof.renamed:
            changed = counted(page.proof.renamed, "drawing")
            show(f"rounding the weights to half precision changes the most probable class of {changed}")


def make_page(chosen: "Run", shards: Path | None = None) -> "Page":
    """The page of a run; what is known of its proof is said on stderr.

    Args:
        chosen: the run.
        shards: what the page is proved on; None takes the run's own, or the built-in sample where these are missing.
    """
    from model.compute.devices import choose_devices

    choose_devices("cpu")  # GPUs multiply in lower precision, which would look like an error of the page
    from model.export.page import can_prove, export_page
    from model.export.page_engine import KERNELS
    from model.scoring.loaded import load_best
    from pipeline.browser.compile import COMPILING, is_compiled

    loaded = load_best(chosen)
    folder = shards if shards is not None or chosen.about is not None else _own_shards(chosen)
    if not is_compiled(KERNELS):
        say(COMPILING)
    if not can_prove():
        say("the page is not proved to compute what sketchpipe does: in sketchpipe's folder, pip install -e '.[page]'")
    with Bar() as bar:
        return export_page(loaded, folder, bar)


def _own_shards(chosen: "Run") -> Path | None:
    """The shards on which a run was trained; None, said in a line, if they are missing."""
    from pipeline.errors import SketchpipeError

    try:
        return chosen.shards_folder()
    except SketchpipeError as error:
        say(f"{error}; the page knows no scores, and is proved with the built-in sample")
        return None
