"""`sketchpipe sample`."""

from pathlib import Path
from typing import Annotated

import typer


def sample(
    to: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("sketches/sample"),
    drawings_per_class: Annotated[int, typer.Option(help="Drawings to make of each class.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the doodles; the same seed gives the same bytes.")] = 0,
) -> None:
    """Draw the built-in sample: synthetic doodles of ten classes.

    Reads nothing; writes a <word>.ndjson in Google's simplified format for each class. If the same sample is already
    there, nothing is written.

    Example: sketchpipe sample --to sketches/sample
    """
    from pipeline.cli.options import say
    from pipeline.errors import OutputError, UsageError
    from pipeline.sample.doodles import SAMPLE_WORDS, write_sample
    from pipeline.sources.files import SAMPLE_MARK

    mark, wanted = to / SAMPLE_MARK, f"{drawings_per_class} drawings a class, seed {seed}\n"
    files = [to / f"{word}.ndjson" for word in SAMPLE_WORDS]
    if mark.exists() and mark.read_text() == wanted and all(file.exists() for file in files):
        say(f"{to}: the sample is there already")
        return
    others = [] if mark.exists() else [file for file in files if file.exists()]
    if others:
        raise OutputError(f"{others[0]}: is there already, and not of a sample; choose another folder with --to")
    if drawings_per_class < 1:
        raise UsageError(f"drawings_per_class {drawings_per_class}: expected 1 or more")
    if seed < 0:
        raise UsageError(f"seed {seed}: expected 0 or more")
    try:
        to.mkdir(parents=True, exist_ok=True)
        mark.write_text("unfinished\n")
        write_sample(to, drawings_per_class=drawings_per_class, seed=seed)
        mark.write_text(wanted)
    except OSError as error:
        raise OutputError(f"{to}: cannot be written ({error.strerror or error}); choose another with --to") from error
    say(f"{to}: {len(files)} classes of {drawings_per_class} synthetic doodles each ({', '.join(SAMPLE_WORDS)})")
