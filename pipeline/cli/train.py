"""`sketchpipe train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import jax

    from model.card import RunCard
    from model.runs import Run
    from model.transfer import Start


def train(
    shards: Annotated[
        Path | None, typer.Option(help="Folder of shards; with --resume, the run's own by default.")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="Folder of the run; the next runs/001-... by default.")] = None,
    network: Annotated[
        str | None, typer.Option(help="A name that `sketchpipe networks` lists; sketchnet by default.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="The network whose recipe to train by; its own by default.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(help="Run whose weights to start from; its last layer too, if the classes are the same."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the drawings; by default what their number deserves.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Drawings a step; the network's recipe by default.")] = None,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate at its peak; the network's recipe by default.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of weights, order, augmentation and dropout; 0 by default.")
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(help="What colours show: palette (each stroke another), order, or gray; the recipe's by default."),
    ] = None,
    framing: Annotated[
        str | None, typer.Option(help="Where drawings stand: corner, as stored, or centred; the recipe's by default.")
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            help='How strokes are changed, "prefix=0.3,rotation=5", or off; the network\'s recipe by default.'
        ),
    ] = None,
    skip_corrupt: Annotated[
        bool, typer.Option("--skip-corrupt", help="Do without what cannot be read of damaged shards.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    precision: Annotated[
        str | None, typer.Option(help="float32, bfloat16, or auto (the default): bfloat16 on GPUs built for it.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an unfinished run; never start another.")
    ] = False,
) -> None:
    """Train a network on shards.

    Reads the train and validation splits; writes a run: its configuration, metrics.jsonl, the last and the best
    checkpoint. Stopped by Ctrl-C or SIGTERM it writes a checkpoint first, and the same command goes on from there.
    Without --run it goes on with the newest unfinished run of the same configuration, else starts a new one.

    Example: sketchpipe train --shards shards/sample
    """
    from model.devices import choose_devices, choose_precision
    from model.transfer import open_start
    from pipeline.cli.options import say
    from pipeline.rendering.augment import canonical

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
    chosen, is_new, folder = _choose(shards, run, given, resume)
    if chosen.card.finished:
        say(f"{chosen.folder}: nothing to do, its {chosen.config.epochs} epochs are done")
    else:
        _train(chosen, folder, devices, source, is_new=is_new, skip_corrupt=skip_corrupt)


def _train(
    chosen: "Run",
    shards: Path,
    devices: "Sequence[jax.Device]",
    source: "Start | None",
    *,
    is_new: bool,
    skip_corrupt: bool,
) -> None:
    """Train a run on its shards, from the weights of `source` where it is new, and tell of it."""
    from model.devices import describe, devices_for
    from model.train import Trainer, open_validation
    from model.transfer import check_start
    from pipeline.cli.options import say
    from pipeline.cli.training import TrainingLine
    from pipeline.errors import UsageError
    from pipeline.shards.read import open_split

    split = open_split(shards, "train")
    config = chosen.config
    if config.batch > len(split):
        raise UsageError(f"batch {config.batch}: larger than the training split ({len(split)} drawings)")
    synthetic = " (synthetic sample)" if split.manifest.synthetic else ""
    if source is not None:
        check_start(source, config)
    devices = devices_for(config.batch, devices)
    say(f"{'training' if is_new else 'going on with'} {chosen.folder} on {describe(devices)}: {config.network}, "
        f"{len(split):,} drawings of {len(config.classes)} classes{synthetic}, {config.epochs} epochs, "
        f"batch {config.batch}")  # fmt: skip
    trainer = Trainer(chosen, split, open_validation(split), devices, skip_corrupt, source)
    told = TrainingLine(config)
    trainer.report, trainer.epoch_done = told.report, told.epoch_done
    if is_new:
        chosen.create()
    say("compiling the train step ...")
    try:
        trainer.fit()
    finally:
        told.clear()
    say(f"{chosen.folder}: done; next: sketchpipe evaluate, sketchpipe predict --random")


def _choose(shards: Path | None, run: Path | None, given: dict[str, Any], resume: bool) -> tuple["Run", bool, Path]:
    """The run to train, whether it is new, and the folder of its shards; `given` are fields of its configuration."""
    from model.networks import DEFAULT_NETWORK, make_config
    from model.runs import Run, differences, new_folder, newest_unfinished, open_run, unfinished_run
    from pipeline.errors import InputError, MismatchError, UsageError
    from pipeline.shards.read import open_split

    if resume and shards is None:
        if "recipe" in given:
            raise UsageError("--recipe is for a new run: --resume goes on with the one it has")
        found = newest_unfinished() if run is None else open_run(run)
        if found is None:
            raise InputError("runs/: no unfinished run to go on with; start one with `sketchpipe train --shards DIR`")
        differ = [
            f"{name} {stored} in the run, {given[name]} here"
            for name in given
            if given[name] != (stored := getattr(found.config, name))
        ]
        if differ:
            raise MismatchError(f"{found.folder}: a run of another configuration ({'; '.join(differ)})")
        folder = found.shards_folder()
        if open_split(folder, "train").manifest.checksum != found.card.shards_checksum:
            raise MismatchError(
                f"{folder}: not the shards that {found.folder} was trained on; it cannot go on with them"
            )
        return found, False, folder
    if shards is None:
        raise UsageError("--shards is missing: name the folder of shards to train on")
    split = open_split(shards, "train")
    settings = {"network": DEFAULT_NETWORK, **given}
    config = make_config(settings.pop("network"), split.manifest.classes, drawings=len(split), **settings)
    card = _card(shards, split.manifest)
    if run is not None and (run / "run.json").exists():
        chosen = open_run(run)
        differ = differences(chosen, config, card)
        if differ:
            raise MismatchError(f"{run}: a run of another configuration ({'; '.join(differ)}); choose another --run")
        return chosen, False, shards
    if run is None and (unfinished := unfinished_run(config, card)) is not None:
        return unfinished, False, shards
    if resume:
        raise InputError(f"{run or 'runs/'}: no unfinished run of this configuration to go on with")
    _refuse_foreign(run)
    return Run(run or new_folder(config.network), config, card), True, shards


def _refuse_foreign(run: Path | None) -> None:
    from model.runs import is_free
    from pipeline.errors import OutputError

    if run is not None and not is_free(run):
        raise OutputError(f"{run}: is there and is no run; choose another --run")


def _card(shards: Path, manifest: Any) -> "RunCard":
    from importlib.metadata import version

    from model.card import RunCard

    names = ("sketchpipe", "jax", "flax", "optax", "numpy")
    return RunCard(
        str(shards),
        str(shards.resolve()),
        manifest.checksum,
        manifest.synthetic,
        {name: version(name) for name in names},
        splits=manifest.options["splits"],
    )
