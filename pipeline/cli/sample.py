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
    from pipeline.cli.progress import Bar
    from pipeline.sample.doodles import SAMPLE_WORDS
    from pipeline.sample.folder import make_sample
    from pipeline.wording import counted

    with Bar() as bar:
        is_new = make_sample(to, drawings_per_class=drawings_per_class, seed=seed, progress=bar)
    if is_new:
        words = ", ".join(SAMPLE_WORDS)
        say(f"{to}: {len(SAMPLE_WORDS)} classes of {counted(drawings_per_class, 'synthetic doodle')} each ({words})")
    else:
        say(f"{to}: the sample is already there")
