"""`sketchpipe render bitmaps`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.pictures.sets import PictureSet


def bitmaps(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Google's numpy bitmaps: .npy files, folders or globs.")
    ],
    to: Annotated[Path, typer.Option(help="Folder for the pictures.")],
    classes: Annotated[str | None, typer.Option(help='Words to take: "cat,hot dog" or @FILE; all by default.')] = None,
    drawings_per_class: Annotated[
        int | None, typer.Option(help="Bitmaps to take of each class; all by default.")
    ] = None,
    splits: Annotated[str, typer.Option(help="Shares of train, validation and test.")] = "0.8,0.1,0.1",
    seed: Annotated[int, typer.Option(help="Another seed divides the bitmaps otherwise.")] = 0,
    size: Annotated[int, typer.Option(help="Pixels of a picture's side; the bitmaps have 28.")] = 28,
    scaling: Annotated[str, typer.Option(help="nearest, bilinear, bicubic or lanczos.")] = "nearest",
    invert: Annotated[
        bool, typer.Option("--invert", help="Black strokes on white; Google's are white on black.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(help="Threads; the machine's cores by default. They change no byte.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write even where nothing has changed.")] = False,
) -> None:
    """Turn Google's numpy bitmaps into train, validation and test folders of PNG files.

    Bitmaps have no strokes, so no shards can be made of them. Reads .npy files of (N, 784) uint8, named for their
    class; writes <split>/<class>/<class>-0000123.png, index.csv and bitmaps.json. A bitmap's split hangs on its pixels
    and the seed alone. Characters that are unsafe in a file's name are written as %XX. A folder that holds anything
    but such a set is refused.

    Example: sketchpipe render bitmaps sketches/quickdraw-numpy --to pictures --classes "cat,dog" --size 56
    """
    from functools import partial

    from pipeline.cli.options import parse_list, worker_count
    from pipeline.pictures.from_bitmaps import BitmapOptions, write_folders

    options = BitmapOptions(
        classes=None if classes is None else parse_list(classes),
        drawings_per_class=drawings_per_class,
        splits=splits,
        seed=seed,
        size=size,
        scaling=scaling,
        invert=invert,
    )
    threads = worker_count(workers)
    tell_set(to, "sources", partial(write_folders, sources, to, options, workers=threads, force=force))


def tell_set(folder: Path, made_of: str, write: Callable[..., tuple["PictureSet", bool]]) -> None:
    """Let `write(progress=...)` make a set of pictures, and tell how far it is and what stands there."""
    from pipeline.cli.options import say
    from pipeline.cli.progress import Bar

    with Bar() as bar:
        made, is_new = write(progress=bar)
    if not is_new:
        say(f"{folder}: nothing to do, the pictures are of these {made_of} and options (--force writes anew)")
    _summarize(made, folder)


def _summarize(made: "PictureSet", folder: Path) -> None:
    """Say how many pictures there are, and which classes have none in a split."""
    from pipeline.cli.options import counted, say
    from pipeline.shards.shuffle import SPLITS

    divided = ", ".join(f"{split} {sum(made.counts.get(split, ())):,}" for split in SPLITS)
    held = f"{counted(made.pictures, 'picture')} of {counted(len(made.classes), 'class', 'classes')}"
    say(f"{folder}: {held} ({divided})")
    for split, counts in made.counts.items():
        empty = [word for word, count in zip(made.classes, counts, strict=True) if not count]
        if empty:
            more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
            # Loaders that number the folders they find would number these classes otherwise.
            say(f"  without a picture in {split}: {', '.join(empty[:5])}{more}; its folders are fewer than train's")
