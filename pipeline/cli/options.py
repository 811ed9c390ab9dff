"""How the commands read lists, and say numbers, sizes and times."""

import sys
from pathlib import Path

from pipeline.errors import InputError, UsageError
from pipeline.threads import core_count


def parse_list(text: str) -> tuple[str, ...]:
    """The entries of one comma-separated argument, or of the lines of `@file`.

    Raises:
        InputError: the file cannot be read.
        UsageError: there is no entry.
    """
    if text.startswith("@"):
        try:
            entries = Path(text[1:]).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{text[1:]}: cannot be read as a list, one entry a line ({error})") from error
    else:
        entries = text.split(",")
    names = tuple(entry.strip() for entry in entries if entry.strip())
    if not names:
        raise UsageError(f'"{text}": an empty list')
    return names


def say(message: str) -> None:
    """A line for a person, on stderr."""
    print(message, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(75), duration(7500)
    ('1 min 15 s', '2 h 5 min')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds) // 60
    return f"{minutes} min {round(seconds) % 60} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def worker_count(workers: int | None) -> int:
    """How many threads to use: as many as asked for, or the machine's cores.

    Raises:
        UsageError: fewer than one.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"workers {workers}: expected 1 or more")
    return workers or core_count()


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """A number and its noun.

    >>> counted(1, "file"), counted(1200, "class", "classes")
    ('1 file', '1,200 classes')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def size(count: float) -> str:
    """Bytes as people say them.

    >>> size(23_400_000)
    '23.4 MB'
    """
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
