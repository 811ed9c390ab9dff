"""`sketchpipe train`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from model.compute.choices import Precision
from pipeline.choices import Encoding, Framing
from pipeline.cli.run_options import AugmentOption, DeviceOption, RecipeOption, setting


def train(
    shards: Annotated[
        Path | None,
        typer.Option(help="Folder of shards; the only one in shards/ by default, with --resume the run's own."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run; by default the unfinished run of the same configuration, else a new one."
        ),
    ] = None,
    network: Annotated[str | None, setting("network", "NAME")] = None,
    recipe: RecipeOption = None,
    start: Annotated[
        Path | None,
        typer.Option(
            help="Run to take the initial weights from, or sketchnet-345, which comes with sketchpipe; the last layer only "
            "if the classes are the same."
        ),
    ] = None,
    epochs: Annotated[int | None, setting("epochs")] = None,
    batch: Annotated[int | None, setting("batch")] = None,
    lr: Annotated[float | None, setting("lr")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of weights, order, augmentation and the network's dropout; 0 by default.")
    ] = None,
    encoding: Annotated[Encoding | None, setting("encoding")] = None,
    framing: Annotated[Framing | None, setting("framing")] = None,
    augment: AugmentOption = None,
    skip_corrupt: Annotated[
        bool, typer.Option("--skip-corrupt", help="Skip unreadable parts of damaged shards.")
    ] = False,
    device: DeviceOption = "auto",
    precision: Annotated[
        Precision | None,
        typer.Option(
            help="Number format of the network; auto takes bfloat16 on GPUs built for it. The default is auto, "
            "with --resume the run's own."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Resume the run of --run, or the unfinished run with the highest number; never start a new one. With "
            "--run and --epochs TOTAL, a finished run is trained for more epochs; --lr sets their peak learning rate.",
        ),
    ] = False,
) -> None:
    """Train a network on shards.

    Reads the train and validation splits; writes a run: its configuration, metrics.jsonl, the last and the best
    checkpoint. Ctrl-C or SIGTERM make it write a checkpoint before it stops, and the same command then resumes from it.
    Without --run it resumes the unfinished run with the same configuration and shards, of several the one with the
    highest number; if there is none, it starts a new run in runs/.

    A finished run is trained for more epochs by --resume --run RUN --epochs TOTAL: it continues from its last
    checkpoint, the learning rate rises to half the run's peak in the first 5 % of the added steps, and falls to zero.

    Example: sketchpipe train --shards shards/sample
    """
    from model.compute.heap import keep_heap

    keep_heap(device)  # before the imports below start threads

    from model.compute.devices import choose_devices, choose_precision
    from model.runs.find import with_built_in
    from model.runs.opening import open_run
    from model.scoring.loaded import load_best
    from model.training.choose import choose_run, further
    from pipeline.cli.options import say
    from pipeline.cli.training import found_shards, train_run
    from pipeline.rendering.augment import canonical
    from pipeline.wording import counted

    if shards is None and not resume:
        shards = found_shards()
    devices = choose_devices(device, divided=True)
    given = {"network": network, "recipe": recipe, "epochs": epochs, "batch": batch, "lr": lr, "seed": seed,
             "encoding": encoding, "framing": framing, "augment": augment}  # fmt: skip
    given = {name: value for name, value in given.items() if value is not None}
    if augment is not None:
        given["augment"] = canonical(augment)
    named = resume and run is not None
    if precision is not None or not (shards is None or named):  # a run that is named or found has its own
        given["precision"] = choose_precision(precision or "auto", devices)
    source = None if start is None else load_best(open_run(with_built_in(start)), calibrated=False)
    if source is not None:
        given["start"] = source.arrays_sha256
    choice = choose_run(shards, run, given, only_begun=resume)
    chosen = choice.run
    if chosen.card.finished:
        say(f"{chosen.folder}: nothing to do, {counted(chosen.epochs, 'epoch')} done; {further(chosen)}")
    else:
        train_run(choice, devices, start=source, skip_corrupt=skip_corrupt)
        option = "" if run is None else f" --run {shlex.quote(str(run))}"  # by default they may use another one
        say(f"{chosen.folder}: done; next: sketchpipe evaluate{option}, sketchpipe predict --random{option}")
