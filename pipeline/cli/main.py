"""The command `sketchpipe`: its subcommands, and errors as one line and an exit code."""

import gc
import io
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Annotated, Any

import typer

from pipeline import first_calls
from pipeline.cli import bench, classes, download, export, inspect, networks, predict, render, sample, shards, verify
from pipeline.cli import evaluate as evaluate_command
from pipeline.cli import runs as runs_command
from pipeline.cli import simplify as simplify_command
from pipeline.cli import sweep as sweep_command
from pipeline.cli import train as train_command
from pipeline.cli.options import Command, help_without_command, say, with_local_paths
from pipeline.cli.usage import usage_message
from pipeline.errors import SketchpipeError

app = typer.Typer(
    name="sketchpipe",
    help="From Quick, Draw! drawings to a trained doodle classifier, stage by stage.\n\n"
    "sample or your own ndjson -> shards -> train -> evaluate, predict, export. The --help of each command shows an "
    "example.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"sketchpipe {installed('sketchpipe')}")
        raise typer.Exit
    help_without_command(context)


_COMMANDS: dict[str, Callable[..., None]] = {
    "sample": sample.sample,
    "download": download.download,
    "classes": classes.classes,
    "simplify": simplify_command.simplify,
    "shards": shards.shards,
    "inspect": inspect.inspect,
    "verify": verify.verify,
    "repair": verify.repair,
    "networks": networks.networks,
    "train": train_command.train,
    "sweep": sweep_command.sweep,
    "runs": runs_command.runs,
    "evaluate": evaluate_command.evaluate,
    "predict": predict.predict,
    "export": export.export,
    "bench": bench.bench,
}
for name, command in _COMMANDS.items():
    app.command(name, cls=Command)(with_local_paths(command))
app.add_typer(render.app, name="render")


# Depending on its version, Typer contains a copy of click or uses the installed one.
_WrongUsage: Any = typer.BadParameter.__base__


class _TerminatedError(BaseException):
    """Raised on SIGTERM, unless the command handles the signal itself."""


def main() -> None:
    """Run the command line; expected errors become one line on stderr and an exit code."""
    gc.set_threshold(100_000)  # at 700 objects, collecting garbage while modules load takes a tenth of a short command
    signals: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        signals.append(number)
        raise KeyboardInterrupt if number == signal.SIGINT else _TerminatedError

    first_calls.tell_with(say)
    signal.signal(signal.SIGTERM, note)
    signal.signal(signal.SIGINT, note)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does: a terminal may lack characters
    try:
        code = app(prog_name="sketchpipe", standalone_mode=False)
        if signals:  # depending on its version, Typer turns Ctrl-C into an exit code or into an error
            _stop_by(signals[0])
        sys.exit(code)
    except SketchpipeError as error:
        _stop(str(error), error.exit_code)
    except _WrongUsage as error:
        _stop(usage_message(error), 2)
    except SystemExit as error:
        if _came_of_broken_pipe(error):  # the reader of the output has ended, as `head` does: not an error
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.exit(0)
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _stop(f"{where}{error.strerror or error}", _code_of(error))
    except BaseException:
        # A library that is being imported may replace the error that the signal raised by one of its own.
        if not signals:
            raise
        _stop_by(signals[0])


def _came_of_broken_pipe(error: BaseException | None) -> bool:
    """Whether `error` was raised while a broken pipe was handled, as by Typer, which then exits itself."""
    while error is not None and not isinstance(error, BrokenPipeError):
        error = error.__context__
    return error is not None


def _code_of(error: OSError) -> int:
    return 3 if isinstance(error, FileNotFoundError | IsADirectoryError) else 6


def _stop_by(number: int) -> None:
    _stop("interrupted" if number == signal.SIGINT else "terminated", 128 + number)


def _stop(message: str, code: int) -> None:
    say(f"sketchpipe: {message}")
    sys.exit(code)
