"""The command `sketchpipe`: its stages, and how errors become one line and an exit code."""

import io
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Annotated, Any

import typer

from pipeline.cli import bench, classes, download, export, inspect, networks, predict, render, sample, shards, verify
from pipeline.cli import evaluate as evaluate_command
from pipeline.cli import runs as runs_command
from pipeline.cli import sweep as sweep_command
from pipeline.cli import train as train_command
from pipeline.cli.options import Command, help_without_command
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
    app.command(name, cls=Command)(command)
app.add_typer(render.app, name="render")


# Typer brings a click of its own, or takes the one that is installed, depending on its version.
_WrongUsage: Any = typer.BadParameter.__base__


class _TerminatedError(BaseException):
    """SIGTERM, where no stage has its own way to stop."""


def main() -> None:
    """Run the command line; every foreseen error is one line on stderr and its exit code."""
    signals: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        signals.append(number)
        raise KeyboardInterrupt if number == signal.SIGINT else _TerminatedError

    signal.signal(signal.SIGTERM, note)
    signal.signal(signal.SIGINT, note)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a path or a word may not fit the terminal
    try:
        code = app(prog_name="sketchpipe", standalone_mode=False)
        if signals:  # Typer turns Ctrl-C into a code of its own, or into an error, depending on its version
            _stop_by(signals[0])
        sys.exit(code)
    except SketchpipeError as error:
        _stop(" ".join(str(error).split()), error.exit_code)
    except _WrongUsage as error:
        _stop(_usage_message(error), 2)
    except SystemExit as error:
        if _came_of_broken_pipe(error):  # whoever read our output has gone, as `head` does: no error of ours
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.exit(0)
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _stop(f"{where}{error.strerror or error}", _code_of(error))
    except BaseException:
        # A library that is being imported may turn the signal into an error of its own.
        if not signals:
            raise
        _stop_by(signals[0])


def _came_of_broken_pipe(error: BaseException | None) -> bool:
    """Whether a broken pipe was being handled when `error` was raised, or before that: Typer exits there itself."""
    while error is not None and not isinstance(error, BrokenPipeError):
        error = error.__context__
    return error is not None


def _usage_message(error: Any) -> str:
    """What Typer has against an option or an argument, in one line, and where to read on."""
    message = error.format_message().replace("Value error, ", "")  # pydantic's words for one of ours
    where = error.ctx.command_path if error.ctx else "sketchpipe"
    return f"{message[:1].lower()}{message[1:].rstrip('.')} (see {where} --help)"


def _code_of(error: OSError) -> int:
    return 3 if isinstance(error, FileNotFoundError | IsADirectoryError) else 6


def _stop_by(number: int) -> None:
    _stop("interrupted" if number == signal.SIGINT else "terminated", 128 + number)


def _stop(message: str, code: int) -> None:
    print(f"sketchpipe: {message}", file=sys.stderr)
    sys.exit(code)
