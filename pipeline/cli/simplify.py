"""`sketchpipe simplify`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import Workers


def simplify(
    sources: Annotated[
        list[str], typer.Argument(metavar="RAW", help="Files, folders or globs of drawings, as for shards.")
    ],
    to: Annotated[Path, typer.Option(help="Folder for the simplified ndjson.")],
    workers: Workers = None,
) -> None:
    """Write raw drawings as simplified ndjson.

    Reads what shards reads; writes <name>.ndjson for each source, in Google's simplified format: coordinates from 0 to
    255, without times. For the drawings that Google published in both forms, the strokes are Google's own. Rejected
    lines are left out and counted. Shards need no such files, because `sketchpipe shards` simplifies raw drawings
    itself. A file that exists with other content is not replaced.

    Example: sketchpipe simplify sketches/quickdraw-raw --to sketches/simplified
    """
    from pipeline.cli.options import say
    from pipeline.cli.progress import Bar
    from pipeline.shards.options import worker_count
    from pipeline.simplified import write_simplified
    from pipeline.wording import counted

    drawings = rejected = files = new = 0
    with Bar() as bar:
        for made in write_simplified(sources, to, workers=worker_count(workers), progress=bar, tell=say):
            drawings, rejected, files = drawings + made.drawings, rejected + made.rejected, files + 1
            new += made.is_new
            if made.first_reject is not None:
                say(f"{counted(made.rejected, made.source.unit)} rejected; the first: {made.first_reject}")
    if not new:
        say(f"{to}: nothing to do; {counted(files, 'file')} already there")
    say(
        f"{to}: {counted(drawings, 'drawing')} in {counted(files, 'file')}"
        + (f", {rejected:,} rejected" * bool(rejected))
    )
