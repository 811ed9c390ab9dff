"""The subcommands of `sketchpipe`."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from pipeline.cli import (
    bench,
    classes,
    download,
    draw,
    export,
    inspect,
    networks,
    predict,
    render,
    sample,
    shards,
    verify,
)
from pipeline.cli import evaluate as evaluate_command
from pipeline.cli import runs as runs_command
from pipeline.cli import simplify as simplify_command
from pipeline.cli import sweep as sweep_command
from pipeline.cli import train as train_command
from pipeline.cli.options import Command, help_without_command, with_local_paths

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
    "draw": draw.draw,
    "export": export.export,
    "bench": bench.bench,
}
for name, command in _COMMANDS.items():
    app.command(name, cls=Command)(with_local_paths(command))
app.add_typer(render.app, name="render")


# Depending on its version, Typer contains a copy of click or uses the installed one.
WrongUsage: Any = typer.BadParameter.__base__
