"""`sketchpipe render replay`."""

from pathlib import Path
from typing import Annotated

import typer


def replay(
    shards: Annotated[Path, typer.Argument(help="Folder of shards.")],
    key_id: Annotated[int | None, typer.Option(help="The drawing with this key_id.")] = None,
    random: Annotated[bool, typer.Option("--random", help="Any drawing of a split.")] = False,
    seed: Annotated[int | None, typer.Option(help="Makes --random take the same drawing again.")] = None,
    split: Annotated[str | None, typer.Option(help="For --random: train, validation or test; test by default.")] = None,
    classes: Annotated[str | None, typer.Option(help='For --random: "cat,hot dog" or @FILE; all by default.')] = None,
    to: Annotated[Path, typer.Option(help="The picture to write.")] = Path("replay.gif"),
    size: Annotated[int, typer.Option(help="Pixels of the picture's side, 16 to 512.")] = 256,
    seconds: Annotated[float, typer.Option(help="How long drawing takes, 0.1 to 20; the whole stays one more.")] = 3.0,
    encoding: Annotated[str, typer.Option(help="palette, order or gray: what colours mean.")] = "palette",
    framing: Annotated[str, typer.Option(help="corner, as drawings are stored, or centred.")] = "corner",
) -> None:
    """Show a drawing being drawn: an animated GIF, 20 frames a second, with the renderer that training uses.

    Reads shards; writes one GIF that repeats. Shards keep the strokes in order but no times: each piece of line takes
    the time of its length. Each frame is what the network sees of a drawing that ends there: with --encoding order,
    finished strokes change colour as the drawing grows. `predict --json` and the index of `render pictures` tell
    key_ids.

    Example: sketchpipe render replay shards/sample --random --seed 7 --to replay.gif
    """
    from pipeline.cli.options import counted, parse_list, say
    from pipeline.cli.options import size as bytes_of
    from pipeline.errors import UsageError
    from pipeline.pictures.replay import ReplayConfig, encode_gif, find_drawing, random_drawing, replay
    from pipeline.rendering.render import RenderConfig
    from pipeline.storage.outputs import check_picture_path, write_output

    check_picture_path(to, ".gif")
    if random == (key_id is not None):
        raise UsageError("give --key-id N for one drawing, or --random for any")
    if not random and (seed is not None or split is not None or classes is not None):
        raise UsageError("--seed, --split and --classes go with --random")
    config = ReplayConfig(RenderConfig(size, encoding=encoding, framing=framing), seconds)
    if key_id is not None:
        drawing, found = find_drawing(shards, key_id)
        if found > 1:
            say(f"{found} drawings have this key_id; the first is taken")
    else:
        drawing = random_drawing(shards, split or "test", None if classes is None else parse_list(classes), seed)
    content = encode_gif(replay(drawing, config))
    write_output(to, content)
    word, strokes = drawing.words[drawing.word[0]], counted(len(drawing.stroke_end), "stroke")
    say(
        f'{to}: "{word}", key_id {drawing.key_id[0]}, {strokes}, {counted(len(drawing.x), "point")}, {bytes_of(len(content))}'
    )
