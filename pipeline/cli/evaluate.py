"""`sketchpipe evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.choices import SplitOrAll
from pipeline.cli.run_options import DeviceOption, JsonOption, MirrorOption, RunOption, chosen_run
from pipeline.wording import counted

if TYPE_CHECKING:
    from model.report.outputs import Outputs
    from model.runs.folder import Run
    from model.scoring.evaluate import Evaluation
    from model.scoring.loaded import LoadedRun


def evaluate(
    run: RunOption = None,
    shards: Annotated[Path | None, typer.Option(help="Folder of shards; the run's own by default.")] = None,
    split: Annotated[SplitOrAll, typer.Option(help="Split to score.")] = "test",
    mirror: MirrorOption = False,
    as_json: JsonOption = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a report, one .html file that needs no other.")
    ] = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate", help="First fit the temperature on the run's validation split, and store it in the run."
        ),
    ] = False,
    device: DeviceOption = "auto",
) -> None:
    """Score a run on a split of shards.

    Reads the run's best checkpoint, and its own shards or others that have some of its classes. Writes to stdout top-1,
    top-3, MAP@3, the accuracy of each class and the mean over classes. --report also writes a page, and --calibrate the
    run's calibration.json, which predict and export use too.

    Example: sketchpipe evaluate --split test --report report.html
    """
    from pipeline.cli.options import show, show_json
    from pipeline.cli.progress import Bar
    from pipeline.errors import UsageError
    from pipeline.storage.outputs import check_output_path

    if report is not None:
        check_output_path(report, ("", ".html", ".htm"), "report")
    chosen = chosen_run(run)
    if calibrate and chosen.about is not None:
        raise UsageError(f"{chosen.folder}: has a temperature already, which belongs to its weights; omit --calibrate")
    folder = shards or chosen.shards_folder()

    from model.compute.devices import choose_devices  # JAX, which takes a second, comes after what may be refused
    from model.report.outputs import Collector
    from model.scoring.evaluate import evaluate_run
    from model.scoring.loaded import load_best

    choose_devices(device)
    loaded = _calibrated(chosen, folder) if calibrate else load_best(chosen)
    tell_temperature(loaded)
    collector = Collector()
    with Bar() as bar:
        visit = None if report is None else collector
        found = evaluate_run(loaded, folder, split, mirror=mirror, visit=visit, progress=bar)
    if report is not None:
        _write_report(report, found, collector.outputs())
    if as_json:
        show_json(found.as_dict())
    else:
        show(*_lines_of(found.as_dict()))


def tell_temperature(loaded: "LoadedRun") -> None:
    """Print on stderr which temperature is used, or that the stored one is for another checkpoint and not used."""
    from model.runs.calibration import CALIBRATION
    from model.runs.weights import CARD as WEIGHTS_CARD
    from pipeline.cli.options import say

    path = loaded.run.folder / (CALIBRATION if loaded.run.about is None else WEIGHTS_CARD)
    if loaded.fitted is not None:
        say(f"temperature {loaded.temperature:.4f} ({path})")
    elif loaded.calibration is not None:
        say(
            f"{path}: was fitted for another checkpoint ({loaded.calibration.checkpoint}) and is not used; "
            "`sketchpipe evaluate --calibrate` fits it again"
        )


def _calibrated(run: "Run", named: Path) -> "LoadedRun":
    """Load the run, fit its temperature, and store it."""
    from dataclasses import replace

    from model.runs.calibration import CALIBRATION
    from model.scoring.calibrate import calibrate_run, own_shards
    from model.scoring.loaded import load_best
    from pipeline.cli.options import say
    from pipeline.cli.progress import Bar

    folder = own_shards(run, named)
    loaded = load_best(run, calibrated=False)  # so that a damaged one can be replaced
    with Bar() as bar:
        found = calibrate_run(loaded, folder, bar)
    worse = "; it improves the likelihood, but not the calibration error" if found.ece_after > found.ece_before else ""
    say(
        f"{run.folder / CALIBRATION}: temperature {found.temperature:.4f}, fitted on {found.drawings:,} validation drawings of "
        f"{folder}: NLL {found.nll_before:.4f} -> {found.nll_after:.4f}, ECE {found.ece_before:.2%} -> "
        f"{found.ece_after:.2%}{worse}"
    )
    return replace(loaded, calibration=found)


def _write_report(path: Path, found: "Evaluation", outputs: "Outputs") -> None:
    from model.report.build import make_report
    from pipeline.cli.options import say, size
    from pipeline.cli.progress import Bar
    from pipeline.storage.outputs import write_output

    with Bar() as bar:
        page = make_report(found, outputs, progress=bar)
    content = page.encode(errors="backslashreplace")  # the name of a folder may not be UTF-8
    write_output(path, content)
    say(f"report: {path} ({size(len(content))})")


def _lines_of(scores: dict[str, Any]) -> list[str]:
    from pipeline.wording import aligned, columns_of

    classes = sorted(
        scores["classes"].items(), key=lambda item: (item[1]["top1"] is None, -(item[1]["top1"] or 0), item[0])
    )
    width = max(5, *(columns_of(word) for word, _ in classes))
    lines = [f"{'class':<{width}}  {'top-1':>8}  {'drawings':>9}"]
    for word, one in classes:
        top1 = "too few" if one["top1"] is None else f"{one['top1']:.1%}"
        lines.append(f"{aligned(word, width)}  {top1:>8}  {one['drawings']:>9,}")
    lines.append("")
    lines.append(
        f"{scores['split']}: top-1 {scores['top1']:.2%}, top-3 {scores['top3']:.2%}, MAP@3 {scores['map3']:.4f}, "
        f"class-balanced top-1 {scores['balanced_top1']:.2%} on {counted(scores['drawings'], 'drawing')} of {scores['shards']}"
    )
    return lines
