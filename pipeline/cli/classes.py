"""`sketchpipe classes`."""

from typing import Annotated

import typer


def classes(
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="Show only words that resemble this.")] = None,
) -> None:
    """List Google's 345 words, or those that resemble TEXT.

    Reads nothing; writes the words to stdout, one a line.

    Example: sketchpipe classes hotdog
    """
    from pipeline.classes import WORDS, resembling
    from pipeline.cli.options import show
    from pipeline.errors import InputError, UsageError

    if text is not None and not text.strip():
        raise UsageError(f'TEXT "{text}": expected a word, or no TEXT for all words')
    words = list(WORDS) if text is None else resembling(text, count=20)
    if not words:
        raise InputError(f'no word resembles "{text}"; `sketchpipe classes` lists all {len(WORDS)}')
    show(*words)
