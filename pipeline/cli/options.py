"""What commands share: some options, usage lines, messages, lists of names, and sizes and times as text."""

import functools
import inspect
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typer.models import OptionInfo

from pipeline.errors import InputError, UsageError
from pipeline.storage.local import local_path
from pipeline.storage.reading import read_list
from pipeline.wording import json_text, visible

_HASHED = ("seed", "key_id")  # options that take unsigned numbers of 64 bits

Classes = Annotated[
    str | None, typer.Option(metavar="WORDS", help='Classes to take, "cat,hot dog" or @FILE; all by default.')
]
Splits = Annotated[str, typer.Option(metavar="SHARES", help="Shares of the train, validation and test splits.")]
Workers = Annotated[
    int | None, typer.Option(help="Threads; one a core by default. The files are the same with any number.")
]


def spare_memory() -> None:
    """Make Arrow return the memory that it frees to the system: its own allocator keeps up to 80 MB of a build.

    Called before pyarrow is imported; a setting of the user's stays.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


class Command(TyperCommand):
    """A command whose usage line shows arguments as SOURCE... or [FILE]..., with every version of Typer."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The parts of the usage line after the command's name."""
        return ["[OPTIONS]", *(_usage(one) for one in self.get_params(ctx) if one.param_type_name == "argument")]


def _usage(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return (name if argument.required else f"[{name}]") + ("..." if argument.nargs != 1 else "")


def with_local_paths(command: Callable[..., None]) -> Callable[..., None]:
    """The command with `~` expanded in every option and argument that is a path; addresses are refused.

    The arguments `sources` and `files` are lists of text, because a source may be a glob, and a file `-`.
    """
    parameters = inspect.signature(command).parameters

    @functools.wraps(command)
    def run(**given: Any) -> None:
        for name, value in given.items():
            if isinstance(value, int | float):
                with _named(parameters[name]):
                    check_number(name, value)
            if isinstance(value, Path):
                with _named(parameters[name]):
                    given[name] = local_path(value)
            elif isinstance(value, list) and name in ("sources", "files"):
                given[name] = [str(local_path(one)) for one in value]
            elif isinstance(value, list):
                given[name] = [local_path(one) if isinstance(one, Path) else one for one in value]
        command(**given)

    return run


def check_number(name: str, value: float) -> None:
    """Refuse a number that no option can mean; each command checks its options' own ranges.

    Raises:
        UsageError: it has more than 64 bits, or is infinite or none.
    """
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << (64 if name in _HASHED else 63):
        raise UsageError("has more than 64 bits; expected a smaller number")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{value}: expected a finite number")


@contextmanager
def _named(parameter: inspect.Parameter) -> Iterator[None]:
    """Put the spelling of an option before the messages of wrong usage that are raised inside; of an argument none."""
    try:
        yield
    except UsageError as error:
        (about,) = parameter.annotation.__metadata__
        if not isinstance(about, OptionInfo):
            raise
        spelled = (about.param_decls or [f"--{parameter.name.replace('_', '-')}"])[0]
        raise UsageError(f"{spelled} {error}") from None


def parse_list(text: str, option: str = "--classes") -> tuple[str, ...]:
    """The entries of a comma-separated list, or the lines of the file that `@FILE` names.

    Raises:
        InputError: the file cannot be read.
        UsageError: the list, which was given for `option`, is empty, or the file's name is an address.
    """
    if text.startswith("@"):
        try:
            entries = read_list(local_path(text[1:]))
        except UsageError as error:
            raise UsageError(f"{option} @{error}") from None
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise InputError(f"{text[1:]}: cannot be read as a list with one entry a line ({why})") from error
    else:
        entries = text.split(",")
    names = tuple(entry.strip() for entry in entries if entry.strip())
    if not names:
        raise UsageError(f'{option} "{text}": the list is empty')
    return names


def refuse_split_list(sources: Sequence[str], option: str, given: str | None) -> None:
    """Raise an error if a list was given as several words, of which all but the first were taken for sources.

    Raises:
        UsageError: a source does not exist, and looks like a word.
    """
    for text in sources if given is not None else ():
        if not Path(text).exists() and not set(text) & set("/.*?["):
            words = ",".join((given or "", text))
            raise UsageError(f'{text}: no such file or folder; a list is one argument with commas: {option} "{words}"')


def say(message: str) -> None:
    """Print a message of one line for the user on stderr."""
    print(visible(message), file=sys.stderr, flush=True)


def show(*lines: str, green: bool = False) -> None:
    """Print lines of results on stdout; nothing in one of them ends it early or is obeyed by a terminal."""
    for line in map(visible, lines):
        typer.echo(typer.style(line, fg=typer.colors.GREEN, bold=True) if green else line)


def show_json(value: object, *, indent: int | None = 1) -> None:
    """Print a value as JSON on stdout."""
    typer.echo(json_text(value, indent=indent))


def help_without_command(context: typer.Context) -> None:
    """If no command of a group is given, print the help on stderr and exit with the code of wrong usage."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


def duration(seconds: float) -> str:
    """A time in seconds as text.

    >>> duration(75), duration(7500)
    ('1 min 15 s', '2 h 5 min')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds) // 60
    return f"{minutes} min {round(seconds) % 60} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def few(names: Sequence[str], limit: int = 5) -> str:
    """The first names of a list, and how many more there are.

    >>> few(["ant", "bee", "cat"], limit=2)
    'ant, bee and 1 more'
    """
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more:,} more" if more > 0 else "")


def size(count: float) -> str:
    """A number of bytes as text.

    >>> size(23_400_000)
    '23.4 MB'
    """
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
