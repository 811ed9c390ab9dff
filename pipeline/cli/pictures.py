"""`sketchpipe render pictures`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.choices import Encoding, Framing, PictureFormat, SplitOrAll
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
    picture_format: Annotated[
        PictureFormat, typer.Option("--format", help="png: a file for each drawing; npy: an array for each class.")
    ] = "png",
    size: Annotated[
        int | None,
        typer.Option(help="Width and height of a picture in pixels, 8 to 1024. [default: 64; 28 for npy]"),
    ] = None,
    encoding: Annotated[
        Encoding | None, typer.Option(help="What the colours show. [default: palette; gray for npy]")
    ] = None,
    framing: Annotated[
        Framing | None,
        typer.Option(help="How drawings are placed; corner leaves them as stored. [default: corner; centred for npy]"),
    ] = None,
    workers: Workers = None,
    force: Annotated[bool, typer.Option("--force", help="Write again even if nothing has changed.")] = False,
) -> None:
    """Draw shards as PNG files, or as NumPy arrays.

    Training needs no pictures: they are for tools that read nothing else, such as torchvision's ImageFolder. Reads
    shards; writes <split>/<class>/<class>-<key_id>.png, drawn by the renderer that training uses, index.csv with a line
    for each picture, and pictures.json. Which drawings --drawings-per-class takes depends only on their key_id and the
    seed; a larger number takes the same drawings and more. Characters that are unsafe in file names are written as %XX.
    A folder that holds other files is refused.

    With --format npy the pictures are arrays, <split>/<class>.npy, and by default as Google's numpy bitmaps: white on
    black, 28 x 28, centred, (N, 784) uint8. Coloured arrays are (N, size, size, 3). index.csv has the row of each.

    Example: sketchpipe render pictures shards/sample --to pictures --drawings-per-class 100 --size 128
    """
    from functools import partial

    from pipeline.cli.bitmaps import tell_set
    from pipeline.cli.options import parse_list
    from pipeline.pictures.from_shards import PictureOptions, picture_settings, write_drawings
    from pipeline.shards.options import worker_count

    options = PictureOptions(
        split=None if split == "all" else split,
        classes=None if classes is None else parse_list(classes),
        drawings_per_class=drawings_per_class,
        seed=seed,
        render=picture_settings(picture_format, size, encoding, framing),
        format=picture_format,
    )
    threads = worker_count(workers)
    tell_set(to, "shards", partial(write_drawings, shards, to, options, workers=threads, force=force))
