"""`sketchpipe sweep`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.compute.choices import Precision
from pipeline.cli.options import duration, say
from pipeline.cli.run_options import AugmentOption, DeviceOption, JsonOption, RecipeOption, listed
from pipeline.errors import DivergedError, LockedError, SketchpipeError, UsageError
from pipeline.interrupts import advising
from pipeline.wording import counted

if TYPE_CHECKING:
    import jax

    from model.training.choose import Choice, Plan
    from model.training.sweep import Sweep


def sweep(
    shards: Annotated[Path | None, typer.Option(help="Folder of shards; the only one in shards/ by default.")] = None,
    lr: Annotated[str | None, listed("lr", "0.01,0.001")] = None,
    batch: Annotated[str | None, listed("batch", "32,64")] = None,
    seed: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Seeds, 0,1,2, over which each setting is averaged; 0 by default."),
    ] = None,
    network: Annotated[str | None, listed("network")] = None,
    epochs: Annotated[str | None, listed("epochs", "4,8")] = None,
    encoding: Annotated[str | None, listed("encoding", "palette,order,gray")] = None,
    framing: Annotated[str | None, listed("framing", "corner,centred")] = None,
    recipe: RecipeOption = None,
    augment: AugmentOption = None,
    precision: Annotated[
        Precision, typer.Option(help="Number format of the network; auto takes bfloat16 on GPUs built for it.")
    ] = "auto",
    device: DeviceOption = "auto",
    curves: Annotated[
        Path | None, typer.Option(help="PNG file for the curves of all runs; runs/sweep.png by default.")
    ] = None,
    test: Annotated[
        bool,
        typer.Option(
            "--test",
            help="Score the best setting, and no other, on the test split; it is chosen on the validation split.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train every combination of some settings and compare them.

    Options that take lists, "0.01,0.001", are swept. Each combination is an ordinary run in runs/: a finished one is
    used as it is, an unfinished one is resumed, one that diverged is not trained again, and one that another process is
    training is checked again at the end. So the same command resumes a sweep after Ctrl-C, and a larger grid trains
    only the new combinations.

    Reads shards; writes runs, a chart of their curves, and to stdout a table, the best first by validation top-1:
    selecting on the test split would bias its score.

    Example: sketchpipe sweep --shards shards/sample --lr 0.01,0.001,0.0001 --batch 32,64,128,256,512
    """
    from model.compute.heap import keep_heap

    keep_heap(device)  # before the imports below start threads

    from model.compute.devices import choose_devices, choose_precision
    from model.runs.find import RUNS
    from model.runs.overview import summarize
    from model.training.sweep import open_swept, plan_sweep
    from pipeline.cli.comparing import tell_sweep
    from pipeline.cli.training import found_shards
    from pipeline.rendering.augment import canonical
    from pipeline.storage.outputs import check_picture_path

    lists = _lists({"network": network, "encoding": encoding, "framing": framing, "epochs": epochs, "batch": batch,
                    "lr": lr, "seed": seed})  # fmt: skip
    picture = curves or RUNS / "sweep.png"
    check_picture_path(picture, ".png")
    devices = choose_devices(device, divided=True)
    settings: dict[str, Any] = {"precision": choose_precision(precision, devices)}
    if recipe is not None:
        settings["recipe"] = recipe
    if augment is not None:
        settings["augment"] = canonical(augment)
    folder = shards or found_shards()
    plans = plan_sweep(open_swept(folder, test=test), lists, settings, devices)
    swept = {name: values for name, values in lists.items() if len(values) > 1}
    by = f" ({' x '.join(f'{len(values)} of {name}' for name, values in swept.items())})" if swept else ""
    say(f"sweep on {folder}: {counted(len(plans), 'run')}{by}")
    done = _train_all(plans, swept, folder, devices)
    folders, held = [done.folders[place] for place in sorted(done.folders)], list(done.held.values())
    if test and held:  # the best setting is not known yet, and only one may be scored on the test split
        say("the test split is scored when all runs are done")
    if folders:
        runs = [summarize(one) for one in folders]
        tell_sweep(runs, swept, folder, picture, test=test and not held, as_json=as_json)
    if held:
        names = ", ".join(map(str, held))
        raise LockedError(f"{names}: another process is training it; run the same command again when that is done")


def _lists(given: Mapping[str, str | None]) -> dict[str, list[Any]]:
    """The values of each option that was given, without repetitions."""
    from pipeline.cli.options import parse_list

    kinds: dict[str, Callable[[str], Any]] = {"epochs": int, "batch": int, "lr": float, "seed": int}
    lists = {}
    for name, text in given.items():
        if text is not None:
            try:
                lists[name] = list(dict.fromkeys(map(kinds.get(name, str), parse_list(text, f"--{name}"))))
            except ValueError as error:
                if isinstance(error, SketchpipeError):
                    raise
                kind = "whole numbers" if kinds[name] is int else "numbers"
                raise UsageError(f'--{name} "{text:.60}": expected {kind} with commas between them') from error
            for value in lists[name]:
                if not isinstance(value, str):
                    _check_number(name, value)
    return lists


def _check_number(name: str, value: float) -> None:
    from pipeline.cli.options import check_number

    try:
        check_number(name, value)
    except UsageError as error:
        raise UsageError(f"--{name} {error}") from None


def _train_all(
    plans: Sequence["Plan"], swept: Mapping[str, Sequence[Any]], shards: Path, devices: Sequence["jax.Device"]
) -> "Sweep":
    """Train the planned runs that are not done, and print their progress."""
    from model.runs.comparison import value_texts
    from model.training.sweep import Sweep
    from pipeline.cli.training import train_run

    sweep = Sweep(plans, shards)
    for error in sweep.errors:
        say(f"skipped: {error}")
    say(f"{sweep.done} done, {sweep.begun} to resume, {len(plans) - sweep.done - sweep.begun} new")
    texts = {name: dict(zip(values, value_texts(values), strict=True)) for name, values in swept.items()}

    def train(place: int, choice: "Choice") -> None:
        values = ", ".join(f"{name} {texts[name][getattr(plans[place].config, name)]}" for name in swept)
        say(f"run {place + 1} of {len(plans)}{': ' if values else ''}{values}")
        try:
            train_run(choice, devices, alone=False)
        except (DivergedError, UsageError) as error:  # its batch did not fit into memory; the next one may
            say(str(error))

    def tried(folder: Path, is_held: bool, again: bool) -> None:
        if is_held:
            say(f"{folder}: another process is training it{'' if again else '; checked again at the end'}")
        if (seconds := sweep.seconds_left) and any(sweep.left):
            say(f"about {duration(seconds)} left for {counted(sum(map(bool, sweep.left)), 'run')}")

    with advising("the same command resumes the sweep"):
        sweep.train(train, tried)
    return sweep
