"""`sketchpipe render replay`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.choices import Encoding, Framing, Split


def replay(
    shards: Annotated[Path, typer.Argument(metavar="SHARDS", help="Folder of shards.")],
    key_id: Annotated[int | None, typer.Option(help="The drawing with this key_id.")] = None,
    random: Annotated[bool, typer.Option("--random", help="A random drawing of a split.")] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of --random; a new one each time by default.")] = None,
    split: Annotated[Split | None, typer.Option(help="Split for --random; test by default.")] = None,
    classes: Annotated[
        str | None, typer.Option(metavar="WORDS", help='Classes for --random, "cat,hot dog" or @FILE; all by default.')
    ] = None,
    to: Annotated[Path, typer.Option(help="GIF file to write, or an SVG file: the suffix decides.")] = Path(
        "replay.gif"
    ),
    size: Annotated[int, typer.Option(help="Width and height of the picture in pixels, 16 to 512.")] = 256,
    seconds: Annotated[
        float, typer.Option(help="Duration of the drawing, 0.1 to 20; the result stays one second more.")
    ] = 3.0,
    encoding: Annotated[Encoding, typer.Option(help="What the colours show.")] = "palette",
    framing: Annotated[Framing, typer.Option(help="How drawings are placed; corner leaves them as stored.")] = "corner",
) -> None:
    """Write a drawing as an animated GIF, or as an SVG.

    Reads shards; writes one GIF of 20 frames a second that repeats, drawn by the renderer that training uses. Shards
    keep the order of strokes but no times: each piece of a line takes time in proportion to its length. Each frame is
    what the network sees of a drawing that ends there; with --encoding order, finished strokes change colour as the
    drawing grows. An SVG is not animated: it has the strokes as black lines, for which --encoding, --framing and
    --seconds have no meaning. `predict --json` and the index of `render pictures` show key_ids.

    Example: sketchpipe render replay shards/sample --random --seed 7 --to replay.gif
    """
    from pipeline.cli.options import parse_list, say
    from pipeline.cli.options import size as bytes_of
    from pipeline.errors import UsageError
    from pipeline.pictures.replay import ReplayConfig, encode_gif, find_drawing, random_drawing, replay
    from pipeline.pictures.svg import encode_svg
    from pipeline.rendering.render import RenderConfig
    from pipeline.storage.outputs import check_output_path, write_output
    from pipeline.wording import counted

    check_output_path(to, ("", ".gif", ".svg"), "picture")
    if random == (key_id is not None):
        raise UsageError("give --key-id N, or --random for any drawing")
    if not random and (seed is not None or split is not None or classes is not None):
        raise UsageError("--seed, --split and --classes need --random")
    config = ReplayConfig(RenderConfig(size, encoding=encoding, framing=framing), seconds)
    if key_id is not None:
        drawing, found = find_drawing(shards, key_id)
        if found > 1:
            say(f"{found} drawings have this key_id; this is the first of them")
    else:
        drawing = random_drawing(shards, split or "test", None if classes is None else parse_list(classes), seed)
    content = encode_svg(drawing, size) if to.suffix.lower() == ".svg" else encode_gif(replay(drawing, config))
    write_output(to, content)
    word, strokes = drawing.words[drawing.word[0]], counted(len(drawing.stroke_end), "stroke")
    say(
        f'{to}: "{word}", key_id {drawing.key_id[0]}, {strokes}, {counted(len(drawing.x), "point")}, {bytes_of(len(content))}'
    )
