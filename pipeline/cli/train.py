"""`sketchpipe train`."""

from pathlib import Path
from typing import Annotated

import typer

from model.compute.choices import Device, Precision
from pipeline.choices import Encoding, Framing


def train(
    shards: Annotated[
        Path | None,
        typer.Option(help="Folder of shards; the only one in shards/ by default, with --resume the run's own."),
    ] = None,
    run: Annotated[Path | None, typer.Option(help="Folder of the run; the next runs/001-... by default.")] = None,
    network: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Network, as `sketchpipe networks` lists them; sketchnet by default."),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", help="Network whose recipe to use; its own by default.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(help="Run whose weights to start from, and whose last layer too if the classes are the same."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the drawings; by default chosen from the number of drawings.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Drawings in a step; the recipe's by default.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate; the recipe's by default.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of weights, order, augmentation and dropout; 0 by default.")
    ] = None,
    encoding: Annotated[
        Encoding | None, typer.Option(help="What the images' colours show; the recipe's by default.")
    ] = None,
    framing: Annotated[
        Framing | None, typer.Option(help="Where drawings stand in the images; the recipe's by default.")
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            metavar="AMOUNTS",
            help='How strokes are augmented, "prefix=0.3,rotation=5" or off; the recipe\'s by default.',
        ),
    ] = None,
    skip_corrupt: Annotated[
        bool, typer.Option("--skip-corrupt", help="Skip unreadable parts of damaged shards.")
    ] = False,
    device: Annotated[Device, typer.Option(help="Device to compute on; auto takes GPUs if there are any.")] = "auto",
    precision: Annotated[
        Precision | None,
        typer.Option(help="Number format of the network; auto, the default, takes bfloat16 on GPUs built for it."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume an unfinished run; never start another.")] = False,
) -> None:
    """Train a network on shards.

    Reads the train and validation splits; writes a run: its configuration, metrics.jsonl, the last and the best
    checkpoint. Ctrl-C or SIGTERM make it write a checkpoint before it stops, and the same command then resumes from it.
    Without --run it resumes the newest unfinished run of the same configuration, or else starts a new one.

    Example: sketchpipe train --shards shards/sample
    """
    from model.compute.heap import keep_heap

    keep_heap(device)  # before the imports below start threads

    from model.compute.devices import choose_devices, choose_precision
    from model.training.choice import choose_run
    from model.training.transfer import open_start
    from pipeline.cli.options import say
    from pipeline.cli.training import found_shards, train_run
    from pipeline.rendering.augment import canonical

    if shards is None and not resume:
        shards = found_shards()
    devices = choose_devices(device, divided=True)
    given = {"network": network, "recipe": recipe, "epochs": epochs, "batch": batch, "lr": lr, "seed": seed,
             "encoding": encoding, "framing": framing, "augment": augment}  # fmt: skip
    given = {name: value for name, value in given.items() if value is not None}
    if augment is not None:
        given["augment"] = canonical(augment)
    if precision is not None or shards is not None:  # a run that is named or found has its own
        given["precision"] = choose_precision(precision or "auto", devices)
    source = None if start is None else open_start(start)
    if source is not None:
        given["start"] = source.digest
    choice = choose_run(shards, run, given, only_begun=resume)
    chosen = choice.run
    if chosen.card.finished:
        say(f"{chosen.folder}: nothing to do, its {chosen.config.epochs} epochs are done")
    else:
        train_run(choice, devices, start=source, skip_corrupt=skip_corrupt)
        say(f"{chosen.folder}: done; next: sketchpipe evaluate, sketchpipe predict --random")
