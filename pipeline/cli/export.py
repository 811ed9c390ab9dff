"""`sketchpipe export`: the form of what is written follows from the path, and each form has a module of its own."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.run_options import RunOption


def export(
    run: RunOption = None,
    to: Annotated[
        str, typer.Option(metavar="PATH", help="What to write: a file named .onnx or .html, or a folder.")
    ] = "model.onnx",
    shards: Annotated[
        Path | None, typer.Option(help="Shards to check the result on; the run's own by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object about what was written.")] = False,
) -> None:
    """Export a run as an ONNX model, a page, or a folder for the Hub.

    --to decides. A name that ends in .onnx is an ONNX model, one that ends in .html a page. A name that ends in / or
    has no suffix, or an existing folder, is a folder for the Hugging Face Hub. Reads the run's best checkpoint; computes
    on the CPU.

    The ONNX model takes any number of uint8 images, scales them itself and gives probabilities; its metadata names the
    classes. Before it is written, the probabilities that onnxruntime computes are compared with the run's own on 1,000
    drawings: those of the test split, then of the others if it has too few; of the built-in sample for weights without
    their training, unless --shards names some. A difference of 0.0001 or more is an error. Needs the extra
    "onnx", installed in sketchpipe's folder: pip install -e '.[onnx]'.

    The page is one file that needs no other: whoever opens it draws, and the network guesses. `sketchpipe draw` also
    opens it. It is proved before it is written, if the extra "page" is installed: pip install -e '.[page]'.

    The folder has the weights in half precision with their configuration, the ONNX model if the extra is installed, and
    a README.md with scores and an example. --run takes it too. Nothing is uploaded; a line names the command that does.
    A folder that export wrote is replaced as a whole, unless a file of it was changed; any other folder is refused.

    Example: sketchpipe export --to model.onnx
    """
    path, suffix = _place(to)
    if suffix == ".onnx":
        from pipeline.cli.export_onnx import write_onnx

        write_onnx(run, path, shards, as_json=as_json)
    elif suffix == ".html":
        from pipeline.cli.export_page import write_page

        write_page(run, path, shards, as_json=as_json)
    else:
        from pipeline.cli.export_hub import write_hub

        write_hub(run, path, shards, as_json=as_json)


def _place(to: str) -> tuple[Path, str]:
    """The path that `--to` names, and the suffix of its form: ".onnx", ".html", or "" for a folder.

    Raises:
        UsageError: it is not a path, or its name has another suffix.
    """
    from pipeline.errors import UsageError
    from pipeline.storage.local import local_path

    try:
        path = local_path(to)
    except UsageError as error:
        raise UsageError(f"--to {error}") from None
    suffix = {".htm": ".html"}.get(path.suffix.lower(), path.suffix.lower())
    if to == "-" or (suffix not in (".onnx", ".html", "") and not (to.endswith("/") or path.is_dir())):
        raise UsageError(f"--to {to}: expected a file named .onnx or .html, or a folder, FOLDER/")
    return path, "" if to.endswith("/") or path.is_dir() else suffix
