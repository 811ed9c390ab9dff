"""How the commands call their arguments, read lists and tell of long work."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from pipeline.errors import InputError, UsageError
from pipeline.threads import core_count

PLAIN_SECONDS = 30.0  # between lines where stderr is no terminal
_BAR_SECONDS = 0.1


class Command(TyperCommand):
    """A command whose usage line names arguments as people do, with every version of Typer: SOURCE..., [FILE]..."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The parts of the usage line behind the command's name."""
        return ["[OPTIONS]", *(_usage(one) for one in self.get_params(ctx) if one.param_type_name == "argument")]


def _usage(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return (name if argument.required else f"[{name}]") + ("..." if argument.nargs != 1 else "")


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


def help_without_command(context: typer.Context) -> None:
    """Where a group of commands is called without one: its help on stderr, and the code of wrong usage."""
    if context.invoked_subcommand is None:
        say(context.get_help())
        raise typer.Exit(2)


class Line:
    """Progress in one line: rewritten in place on a terminal, a plain line every 30 seconds elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._last = time.monotonic()
        self._width = 0

    def show(self, text: Callable[[], str]) -> None:
        """Show `text()` if it is time."""
        now = time.monotonic()
        if now - self._last < (_BAR_SECONDS if self._terminal else PLAIN_SECONDS):
            return
        self._last = now
        line = text()
        if self._terminal:
            sys.stderr.write("\r" + line.ljust(self._width))
            self._width = len(line)
            sys.stderr.flush()
        else:
            say(line)

    def clear(self) -> None:
        """Leave the terminal's line empty for what comes next."""
        if self._terminal and self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0


def bar(share: float, width: int = 24) -> str:
    """A bar of `width` characters, filled to `share`."""
    filled = round(min(max(share, 0.0), 1.0) * width)
    return "#" * filled + "-" * (width - filled)


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


def few(names: Sequence[str], limit: int = 5) -> str:
    """The first names of a list, and how many more there are.

    >>> few(["ant", "bee", "cat"], limit=2)
    'ant, bee and 1 more'
    """
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more:,} more" if more > 0 else "")


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
