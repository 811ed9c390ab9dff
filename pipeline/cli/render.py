"""`sketchpipe render`: pictures of drawings, and of bitmaps."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.choices import Encoding, Framing, Split
from pipeline.cli.bitmaps import bitmaps
from pipeline.cli.options import Command, help_without_command, with_local_paths
from pipeline.cli.pictures import pictures
from pipeline.cli.replay import replay

app = typer.Typer(help="Write pictures of drawings, and of Google's bitmaps.", invoke_without_command=True)


@app.callback()
def render(context: typer.Context) -> None:
    """Write pictures of drawings, and of Google's bitmaps."""
    help_without_command(context)


@app.command("sheet", cls=Command)
@with_local_paths
def sheet(
    shards: Annotated[Path, typer.Argument(metavar="SHARDS", help="Folder of shards.")],
    to: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("sheet.png"),
    split: Annotated[Split, typer.Option(help="Split to take drawings from.")] = "train",
    classes: Annotated[
        str | None, typer.Option(metavar="WORDS", help='Classes to show, "cat,hot dog" or @FILE; all by default.')
    ] = None,
    columns: Annotated[int, typer.Option(help="Drawings of each class.")] = 12,
    size: Annotated[int, typer.Option(help="Width and height of a drawing in pixels, 8 to 512.")] = 64,
    encoding: Annotated[Encoding, typer.Option(help="What the colours show.")] = "palette",
    framing: Annotated[Framing, typer.Option(help="How drawings are placed; corner leaves them as stored.")] = "corner",
) -> None:
    """Draw a contact sheet: a row of drawings for each class.

    Reads shards; writes one PNG file, drawn by the renderer that training uses. The drawings are the first of each
    class in the shards' random order. The rows of many classes stand in several columns. If the fonts lack a letter of
    a word, the word is shown as in file names, with %XX.

    Example: sketchpipe render sheet shards/sample --to sheet.png
    """
    from pipeline.cli.options import parse_list, say
    from pipeline.errors import UsageError
    from pipeline.pictures.sheet import contact_sheet, labels_of, sheet_rows, write_png
    from pipeline.rendering.render import RenderConfig
    from pipeline.shards.read import open_split
    from pipeline.storage.outputs import check_picture_path
    from pipeline.wording import counted

    check_picture_path(to, ".png")
    if columns < 1 or not 8 <= size <= 512:
        raise UsageError(f"columns {columns}, size {size}: expected 1 or more columns, and a size of 8 to 512")
    config = RenderConfig(size, encoding=encoding, framing=framing)
    source = open_split(shards, split)
    labels = labels_of(shards, source.manifest, None if classes is None else parse_list(classes))
    rows = sheet_rows(source, labels, columns, config)
    write_png(to, contact_sheet(rows, config))
    shown = counted(sum(len(drawings) for _, drawings in rows), "drawing")
    say(f"{to}: {shown} of {counted(len(rows), 'class', 'classes')}")


app.command("pictures", cls=Command)(with_local_paths(pictures))
app.command("bitmaps", cls=Command)(with_local_paths(bitmaps))
app.command("replay", cls=Command)(with_local_paths(replay))
