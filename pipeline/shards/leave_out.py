"""Reads the list of drawings that a build leaves out."""

from pathlib import Path

from pipeline.errors import InputError
from pipeline.storage.reading import read_list


def read_key_ids(path: Path) -> tuple[int, ...]:
    """Read key_ids from a file, one a line, in ascending order and each once.

    What follows a `#` is a comment; blank lines are ignored.

    Raises:
        InputError: the file cannot be read, or a line is not a key_id.
    """
    try:
        lines = read_list(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read as a list with one key_id a line ({why})") from error
    found = set()
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if not (text.isascii() and text.isdecimal() and len(text) <= 20 and int(text) < 1 << 64):
            raise InputError(
                f"{path}:{number}: expected a key_id, a whole number from 0 to 2**64 - 1, not {text!r:.60}"
            )
        found.add(int(text))
    return tuple(sorted(found))
