"""The command `sketchpipe`: its stages, and how errors become one line and an exit code."""

import io
import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from pipeline.cli import bench, classes, download, export, inspect, networks, predict, render, sample, shards, verify
from pipeline.cli import evaluate as evaluate_command
from pipeline.cli import runs as runs_command
from pipeline.cli import sweep as sweep_command
from pipeline.cli import train as train_command
from pipeline.errors import SketchpipeError

app = typer.Typer(
    name="sketchpipe",
    help="From Quick, Draw! drawings to a trained doodle classifier, stage by stage.\n\n"
    "sample or your own ndjson -> shards -> train -> evaluate, predict, export. Each command's --help has an example.",
    no_args_is_help=True,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"sketchpipe {installed('sketchpipe')}")
        raise typer.Exit


app.command("sample")(sample.sample)
app.command("download")(download.download)
app.command("classes")(classes.classes)
app.command("shards")(shards.shards)
app.command("inspect")(inspect.inspect)
app.command("verify")(verify.verify)
app.command("repair")(verify.repair)
app.add_typer(render.app, name="render")
app.command("networks")(networks.networks)
app.command("train")(train_command.train)
app.command("sweep")(sweep_command.sweep)
app.command("runs")(runs_command.runs)
app.command("evaluate")(evaluate_command.evaluate)
app.command("predict")(predict.predict)
app.command("export")(export.export)
app.command("bench")(bench.bench)


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
        app()
    except SketchpipeError as error:
        _stop(" ".join(str(error).split()), error.exit_code)
    except SystemExit as error:
        # Typer turns these two into exits of its own, and which ones depends on its version.
        if _came_of(error, BrokenPipeError):  # whoever read our output has gone, as `head` does: no error of ours
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.exit(0)
        if _came_of(error, KeyboardInterrupt):
            _stop("interrupted", 130)
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _stop(f"{where}{error.strerror or error}", _code_of(error))
    except BaseException:
        # A library that is being imported may turn the signal into an error of its own.
        if not signals:
            raise
        _stop("interrupted" if signals[0] == signal.SIGINT else "terminated", 128 + signals[0])


def _came_of(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether an error of this kind was being handled when `error` was raised, or before that."""
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__context__
    return False


def _code_of(error: OSError) -> int:
    return 3 if isinstance(error, FileNotFoundError | IsADirectoryError) else 6


def _stop(message: str, code: int) -> None:
    print(f"sketchpipe: {message}", file=sys.stderr)
    sys.exit(code)
