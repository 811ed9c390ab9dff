"""The options that several of the commands about runs have, each declared once, and the run that `--run` names."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.compute.choices import Device

if TYPE_CHECKING:
    from model.runs.folder import Run

_SETTINGS = {
    "network": "Network{}, as `sketchpipe networks` lists them; sketchnet by default.",
    "epochs": "Passes over the drawings{}; by default chosen from the number of drawings.",
    "batch": "Drawings in a step{}; by default the recipe's, halved for few drawings.",
    "lr": "Peak learning rate{}; the recipe's by default.",
    "encoding": "What the images' colours show{}; the recipe's by default.",
    "framing": "Where drawings stand in the images{}; the recipe's by default.",
}

RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run",
        help="Folder of the run, or sketchnet-345, which comes with sketchpipe; by default the run that saved a "
        "checkpoint last.",
    ),
]
DeviceOption = Annotated[
    Device, typer.Option("--device", help="Device to compute on; auto takes GPUs if there are any.")
]
MirrorOption = Annotated[
    bool, typer.Option("--mirror", help="Average with each drawing's mirror image: more accurate, twice as slow.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
RecipeOption = Annotated[
    str | None,
    typer.Option("--recipe", metavar="NAME", help="Network whose recipe to use; the network's own by default."),
]
AugmentOption = Annotated[
    str | None,
    typer.Option(
        "--augment",
        metavar="AMOUNTS",
        help='How strokes are augmented, "prefix=0.3,rotation=5" or off; the recipe\'s by default.',
    ),
]


def setting(name: str, metavar: str | None = None) -> Any:
    """The option of `train` for a setting of a run."""
    return typer.Option(metavar=metavar, help=_SETTINGS[name].format(""))


def listed(name: str, example: str = "") -> Any:
    """The option of `sweep` for a setting that takes several values, such as those of `example`."""
    return typer.Option(metavar="LIST", help=_SETTINGS[name].format(f", {example}" if example else ""))


def chosen_run(named: Path | None, *, or_built_in: bool = False) -> "Run":
    """Open the run that is named, or the run that saved a checkpoint last; what is known of that is printed on stderr.

    Args:
        named: the folder of a run, or the name of a network that comes with sketchpipe.
        or_built_in: whether to take such a network where no run has been trained.
    """
    from model.runs.find import RUNS, built_in_runs, find_runs, is_run, newest_run, newest_trained, with_built_in
    from model.runs.opening import open_run
    from model.runs.weights import has_weights
    from pipeline.cli.options import say
    from pipeline.errors import InputError

    folder = None if named is None else with_built_in(named)
    if folder is not None and not is_run(folder):
        if folder.is_file():
            raise InputError(f"{folder}: is a file, not the folder of a run; `sketchpipe runs` lists the runs")
        if found := find_runs(folder, numbered=True) or [one for one in find_runs(folder) if has_weights(one)]:
            raise InputError(f"{folder}: is a folder of runs; name one of them, such as {found[-1]}")
    if folder is not None:
        return open_run(folder)
    run = newest_trained() if or_built_in else newest_run()
    if run is None and (built_in := built_in_runs()):
        say(f"{RUNS}/: no trained run here; using {built_in[0].name}, which comes with sketchpipe")
        return open_run(built_in[0])
    run = run or newest_run()  # which raises the error
    _tell_newest(run.folder)
    return run


def _tell_newest(folder: Path) -> None:
    """Print which run is used and how good it is, and why another one may be wanted."""
    import shlex

    from model.runs.comparison import better_run
    from model.runs.find import find_runs
    from model.runs.overview import summarize
    from model.runs.tables import percent
    from pipeline.cli.options import say

    run = summarize(folder)
    say(f"run: {folder}, validation top-1 {percent(run.best[0])}" if run.best else f"run: {folder}, not validated yet")
    reasons, remedy = [], "--run names another"
    if run.state in ("unfinished", "training", "diverged"):
        reasons.append(f"is {run.state} ({run.epochs_done} of {run.epochs_planned} epochs are done)")
    if (better := better_run(run, [summarize(one) for one in find_runs()])) is not None and better.best is not None:
        reasons.append("is not the best on its shards")
        remedy = f"--run {shlex.quote(str(better.folder))} has {percent(better.best[0])}"
    if reasons:
        say(f"this run is the newest, but {' and '.join(reasons)}; {remedy}")
