"""`sketchpipe render bitmaps`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.choices import Scaling
from pipeline.cli.options import Classes, Splits, Workers

if TYPE_CHECKING:
    from pipeline.pictures.sets import PictureSet


def bitmaps(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE", help="Google's numpy bitmaps: .npy files, folders or globs.")
    ],
    to: Annotated[Path, typer.Option(help="Folder for the pictures.")],
    classes: Classes = None,
    drawings_per_class: Annotated[
        int | None, typer.Option(help="Bitmaps to take of each class; all by default.")
    ] = None,
    splits: Splits = "0.8,0.1,0.1",
    seed: Annotated[int, typer.Option(help="Seed of the splits; those of shards depend on no seed.")] = 0,
    size: Annotated[int, typer.Option(help="Width and height of a picture in pixels; the bitmaps have 28.")] = 28,
    scaling: Annotated[Scaling, typer.Option(help="How bitmaps are resized.")] = "nearest",
    invert: Annotated[
        bool, typer.Option("--invert", help="Draw black strokes on white; Google's are white on black.")
    ] = False,
    workers: Workers = None,
    force: Annotated[bool, typer.Option("--force", help="Write again even if nothing has changed.")] = False,
) -> None:
    """Turn Google's numpy bitmaps into folders of PNG files.

    Bitmaps have no strokes, so no shards can be built from them. Reads .npy files of (N, 784) uint8, each named after
    its class; writes <split>/<class>/<class>-0000123.png, index.csv and bitmaps.json. The split of a bitmap depends only
    on its pixels and the seed. Characters that are unsafe in file names are written as %XX. A folder that holds other
    files is refused.

    Example: sketchpipe render bitmaps sketches/quickdraw-numpy --to pictures --classes "cat,dog" --size 56
    """
    from functools import partial

    from pipeline.cli.options import parse_list, refuse_split_list, say
    from pipeline.pictures.from_bitmaps import BitmapOptions, write_folders
    from pipeline.shards.options import worker_count

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
    refuse_split_list(sources, "--classes", classes)
    tell_set(to, "sources", partial(write_folders, sources, to, options, workers=threads, force=force, tell=say))


def tell_set(folder: Path, made_of: str, write: Callable[..., tuple["PictureSet", bool]]) -> None:
    """Make a set of pictures with `write(progress=...)`; show its progress, then what the folder holds."""
    from pipeline.cli.options import say
    from pipeline.cli.progress import Bar
    from pipeline.interrupts import unwinding

    with unwinding(), Bar() as bar:
        made, is_new = write(progress=bar)
    if not is_new:
        say(
            f"{folder}: nothing to do; the pictures were made from these {made_of} and options (--force writes them again)"
        )
    _summarize(made, folder)


def _summarize(made: "PictureSet", folder: Path) -> None:
    """Say how many pictures there are, and which classes have none in a split."""
    from pipeline.cli.options import few, say
    from pipeline.shards.shuffle import SPLITS
    from pipeline.wording import counted

    divided = ", ".join(f"{split} {sum(made.counts.get(split, ())):,}" for split in SPLITS)
    held = f"{counted(made.pictures, 'picture')} of {counted(len(made.classes), 'class', 'classes')}"
    say(f"{folder}: {held} ({divided})")
    for split, counts in made.counts.items():
        empty = [word for word, count in zip(made.classes, counts, strict=True) if not count]
        if empty:
            # A loader that numbers the folders it finds would number the classes of this split differently.
            say(f"  {split} has no pictures of {few(empty)}, and so fewer folders than train")
