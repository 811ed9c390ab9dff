"""`sketchpipe evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from model.runs import Run


def evaluate(
    run: Annotated[Path | None, typer.Option(help="Folder of the run; the newest by default.")] = None,
    shards: Annotated[Path | None, typer.Option(help="Folder of shards; the run's own by default.")] = None,
    split: Annotated[str, typer.Option(help="test, validation, train or all.")] = "test",
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Look at each drawing's mirror image too: surer, and twice the time.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
) -> None:
    """Score a run: top-1, top-3, MAP@3, the accuracy of each class and its mean over classes.

    Reads the run's best checkpoint and shards, its own or others with some of its classes; writes to stdout.

    Example: sketchpipe evaluate --split test --json
    """
    import json

    from model.devices import choose_devices
    from model.evaluate import evaluate_run
    from pipeline.errors import UsageError
    from pipeline.shards.shuffle import SPLITS

    if split not in (*SPLITS, "all"):
        raise UsageError(f'split "{split}": expected one of {", ".join(SPLITS)}, all')
    chosen = chosen_run(run)
    folder = shards or chosen.shards_folder()
    choose_devices(device)
    scores = evaluate_run(chosen, folder, split, mirror=mirror).as_dict()
    described = {"run": str(chosen.folder), "shards": str(folder), "split": split, "mirror": mirror, **scores}
    typer.echo(json.dumps(described, ensure_ascii=False, indent=1) if as_json else _as_text(described))


def chosen_run(folder: Path | None) -> "Run":
    """The run in `folder`, or the newest, which is then named on stderr."""
    from model.runs import newest_run, open_run
    from pipeline.cli.options import say

    if folder is not None:
        return open_run(folder)
    newest = newest_run()
    say(f"run: {newest.folder}")
    return newest


def _as_text(scores: dict[str, Any]) -> str:
    classes = sorted(
        scores["classes"].items(), key=lambda item: (item[1]["top1"] is None, -(item[1]["top1"] or 0), item[0])
    )
    width = max(5, *(len(word) for word, _ in classes))
    lines = [f"{'class':<{width}}  {'top-1':>8}  {'drawings':>9}"]
    for word, one in classes:
        top1 = "too few" if one["top1"] is None else f"{one['top1']:.1%}"
        lines.append(f"{word:<{width}}  {top1:>8}  {one['drawings']:>9,}")
    lines.append("")
    lines.append(
        f"{scores['split']}: top-1 {scores['top1']:.2%}, top-3 {scores['top3']:.2%}, MAP@3 {scores['map3']:.4f}, "
        f"class-balanced top-1 {scores['balanced_top1']:.2%} on {scores['drawings']:,} drawings of {scores['shards']}"
    )
    return "\n".join(lines)
