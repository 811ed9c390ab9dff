"""`sketchpipe render pictures`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.choices import Encoding, Framing, SplitOrAll
from pipeline.cli.options import Classes, Workers


def pictures(
    shards: Annotated[Path, typer.Argument(metavar="SHARDS", help="Folder of shards.")],
    to: Annotated[Path, typer.Option(help="Folder for the pictures.")],
    split: Annotated[SplitOrAll, typer.Option(help="Split to draw.")] = "all",
    classes: Classes = None,
    drawings_per_class: Annotated[
        int | None, typer.Option(help="Drawings to take of each class at random; all by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random choice.")] = 0,
    size: Annotated[int, typer.Option(help="Width and height of a picture in pixels, 8 to 1024.")] = 64,
    encoding: Annotated[Encoding, typer.Option(help="What the colours show.")] = "palette",
    framing: Annotated[Framing, typer.Option(help="How drawings are placed; corner leaves them as stored.")] = "corner",
    workers: Workers = None,
    force: Annotated[bool, typer.Option("--force", help="Write again even if nothing has changed.")] = False,
) -> None:
    """Draw shards as PNG files, in a folder for each split and class.

    Training needs no pictures: they are for tools that read nothing else, such as torchvision's ImageFolder. Reads
    shards; writes <split>/<class>/<class>-<key_id>.png, drawn by the renderer that training uses, index.csv with a line
    for each picture, and pictures.json. Which drawings --drawings-per-class takes depends only on their key_id and the
    seed; a larger number takes the same drawings and more. Characters that are unsafe in file names are written as %XX.
    A folder that holds other files is refused.

    Example: sketchpipe render pictures shards/sample --to pictures --drawings-per-class 100 --size 128
    """
    from functools import partial

    from pipeline.cli.bitmaps import tell_set
    from pipeline.cli.options import parse_list, worker_count
    from pipeline.pictures.from_shards import PictureOptions, write_drawings
    from pipeline.rendering.render import RenderConfig

    options = PictureOptions(
        split=None if split == "all" else split,
        classes=None if classes is None else parse_list(classes),
        drawings_per_class=drawings_per_class,
        seed=seed,
        render=RenderConfig(size, encoding=encoding, framing=framing),
    )
    threads = worker_count(workers)
    tell_set(to, "shards", partial(write_drawings, shards, to, options, workers=threads, force=force))
