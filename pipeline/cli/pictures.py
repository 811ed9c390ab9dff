"""`sketchpipe render pictures`."""

from pathlib import Path
from typing import Annotated

import typer


def pictures(
    shards: Annotated[Path, typer.Argument(help="Folder of shards.")],
    to: Annotated[Path, typer.Option(help="Folder for the pictures.")],
    split: Annotated[str, typer.Option(help="train, validation, test or all.")] = "all",
    classes: Annotated[str | None, typer.Option(help='Words to take: "cat,hot dog" or @FILE; all by default.')] = None,
    drawings_per_class: Annotated[
        int | None, typer.Option(help="Drawings to take of each class, a random sample; all by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed takes another sample.")] = 0,
    size: Annotated[int, typer.Option(help="Pixels of a picture's side, 8 to 1024.")] = 64,
    encoding: Annotated[str, typer.Option(help="palette, order or gray: what colours mean.")] = "palette",
    framing: Annotated[str, typer.Option(help="corner, as drawings are stored, or centred.")] = "corner",
    workers: Annotated[
        int | None, typer.Option(help="Threads; the machine's cores by default. They change no byte.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write even where nothing has changed.")] = False,
) -> None:
    """Draw shards as train, validation and test folders of PNG files, with the renderer that training uses.

    Training needs no pictures: this is for tools that read nothing else, such as torchvision's ImageFolder. Reads
    shards; writes <split>/<class>/<class>-<key_id>.png, index.csv with a line a picture, and pictures.json. Whether a
    drawing is in a sample hangs on its key_id and the seed alone, and a larger sample holds the smaller one.
    Characters that are unsafe in a file's name are written as %XX. A folder that holds anything
    but such a set is refused.

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
