"""Formats runs as tables of text, for `sketchpipe sweep` and `sketchpipe runs`."""

from collections.abc import Mapping, Sequence
from typing import Any

from model.runs.comparison import SHOWN, Setting, best_of, listed_settings, standard_error, value_texts
from model.runs.overview import RunSummary, number
from pipeline.wording import aligned, columns_of, counted

_WORDS = {"run", "shards", "network", "state"}  # columns that are aligned to the left


def table(rows: Sequence[Mapping[str, str]]) -> list[str]:
    r"""The lines of a table with the names of the fields as its head; columns of numbers are aligned to the right.

    >>> print(*table([{"run": "a", "lr": "0.1"}, {"run": "bc", "lr": "1"}]), sep="\n")
    run   lr
    a    0.1
    bc     1
    """
    names = list(rows[0])
    lines = [{name: name for name in names}, *rows]
    widths = {name: max(columns_of(line[name]) for line in lines) for name in names}
    left = {name for name in names if name.strip() in _WORDS or name == ""}
    return [
        "  ".join(aligned(line[name], widths[name], right=name not in left) for name in names).rstrip()
        for line in lines
    ]


def percent(share: float | None) -> str:
    """A share from 0 to 1 as a percentage.

    >>> percent(0.8611), percent(None)
    ('86.1%', '-')
    """
    return "-" if share is None else f"{share:.1%}"


def runs_table(runs: Sequence[RunSummary], differ: Mapping[str, Sequence[Any]] | None = None) -> list[str]:
    """Runs with their scores and states.

    Args:
        runs: the runs.
        differ: the settings in which they differ, and each run's value, which are shown; None shows `listed_settings`.
    """
    columns = {
        name: value_texts(values) for name, values in (listed_settings(runs) if differ is None else differ).items()
    }
    return table(
        [
            {
                "run": str(run.folder),
                **{name: texts[place] for name, texts in columns.items()},
                **_scores(run),
                "parameters": "-" if run.parameters is None else f"{run.parameters:,}",
                "state": _state(run),
            }
            for place, run in enumerate(runs)
        ]
    )


def built_in_line(run: RunSummary) -> str:
    """What is said of a network that comes with sketchpipe."""
    if run.state == "damaged":
        return f"{run.folder}  built in, damaged: {run.note}"
    network, classes = run.settings["network"], counted(len(run.settings["classes"]), "class", "classes")
    size = "" if run.parameters is None else f"{run.parameters:,} parameters, "
    return f"{run.folder}  built in, for --run: {network}, {classes}, {size}validation top-1 {percent(run.last_top1)}"


def sweep_table(settings: Sequence[Setting], shown: Sequence[str]) -> list[str]:
    """Every run of a sweep; the best setting comes first and is marked."""
    marked = [
        (place == 0 and setting.mean is not None, run)
        for place, setting in enumerate(settings)
        for run in sorted(setting.runs, key=lambda one: -(one.best or (0.0, 0))[0])
    ]
    texts = {name: value_texts([run.settings.get(name) for _, run in marked]) for name in shown}
    rows = []
    for place, (is_best, run) in enumerate(marked):
        row = {"": "*" if is_best else " ", **{name: texts[name][place] for name in shown}}
        row |= {**_scores(run), "run": str(run.folder)}
        rows.append({**row, "state": "" if run.state == "finished" and not run.note else _state(run)})
    if all(not row["state"] for row in rows):
        rows = [{name: text for name, text in row.items() if name != "state"} for row in rows]
    return table(rows)


def seeds_table(settings: Sequence[Setting]) -> list[str]:
    """For each setting the mean, the lowest and the highest top-1 over its seeds."""
    texts = {name: value_texts([one.values[name] for one in settings]) for name in settings[0].values}
    return table(
        [
            {
                **{name: texts[name][place] for name in texts},
                "mean top-1": percent(setting.mean),
                "lowest": percent(min(setting.top1s, default=None)),
                "highest": percent(max(setting.top1s, default=None)),
                "seeds": f"{len(setting.top1s)} of {len(setting.runs)}",
            }
            for place, setting in enumerate(settings)
        ]
    )


def sweep_lines(
    settings: Sequence[Setting], swept: Mapping[str, Sequence[Any]], scores: Sequence[Mapping[str, Any]] | None = None
) -> list[str]:
    """The lines about a sweep: its runs, the means over seeds, a grid of two settings, the best, and its test scores.

    Args:
        settings: `ranked`.
        swept: the settings with several values, and their values.
        scores: the scores of the best setting's runs on the test split, each with the name of its `run`.
    """
    shown = [name for name in SHOWN if name in swept or name in ("lr", "batch")]
    lines = sweep_table(settings, shown)
    if "seed" in swept:
        lines += ["", *seeds_table(settings)]
    axes = [(name, swept[name]) for name in (*SHOWN, "epochs") if name in swept and name != "seed"]
    if len(axes) == 2:
        lines += ["", "validation top-1", *grid(settings, *axes)]
    lines += ["", _best_text(settings)]
    if scores is not None:
        lines += ["", _test_text(scores)]
    return lines


def grid(settings: Sequence[Setting], down: tuple[str, Sequence[Any]], across: tuple[str, Sequence[Any]]) -> list[str]:
    """A grid of validation top-1 by two settings, each a name and its values; of several seeds the mean."""
    cells = {(repr(one.values[down[0]]), repr(one.values[across[0]])): one for one in settings}
    rows = []
    for value, text in zip(down[1], value_texts(down[1]), strict=True):
        row = {f"{down[0]} \\ {across[0]}": text}
        for other, head in zip(across[1], value_texts(across[1]), strict=True):
            setting = cells.get((repr(value), repr(other)))
            row[head] = _cell(setting) if setting else "-"
        rows.append(row)
    return table(rows)


def _cell(setting: Setting) -> str:
    diverged = sum(run.state == "diverged" for run in setting.runs)
    if setting.mean is None:
        return "diverged" if diverged else "-"
    return percent(setting.mean) + (f", {diverged} diverged" if diverged else "")


def _scores(run: RunSummary) -> dict[str, str]:
    best, epochs = run.best, run.epochs_planned
    return {
        "best top-1": percent(best and best[0]),
        "at epoch": str(best[1]) if best else "-",
        "last top-1": percent(run.last_top1),
        "epochs": f"{run.epochs_done}/{epochs}" if epochs is not None else "-",
        "minutes": "-" if run.seconds is None else f"{run.seconds / 60:.1f}",
    }


def _state(run: RunSummary) -> str:
    return run.state if not run.note else f"{run.state}: {run.note}"


def _test_text(scores: Sequence[Mapping[str, Any]]) -> str:
    mean = sum(one["top1"] for one in scores) / len(scores)
    text = f"test: top-1 {percent(mean)} on {counted(scores[0]['drawings'], 'drawing')}"
    if len(scores) == 1:
        return f"{text} ({scores[0]['run']})"
    each = ", ".join(f"{percent(one['top1'])} ({one['run']})" for one in scores)
    return f"{text}, the mean of {each}"


def _best_text(settings: Sequence[Setting]) -> str:
    """The best setting, and how many others are within its standard error on the validation split."""
    best = best_of(settings)
    if best is None or best.mean is None:
        return "no run has finished"
    texts = {name: value_texts([one.values[name] for one in settings])[0] for name in best.values}
    values = ", ".join(f"{name} {text}" for name, text in texts.items()) or str(best.runs[0].folder)
    text = f"best: {values}: validation top-1 {percent(best.mean)}"
    drawings = number(best.runs[0].epochs[-1], "validation_drawings")
    if drawings is None or drawings < 1:
        return text
    error = standard_error(best.mean, drawings)
    near = sum(one.mean is not None and one.mean >= best.mean - error for one in settings[1:])
    others = f"; {counted(near, 'other setting')} within it" if near else ""
    return f"{text} on {counted(round(drawings), 'drawing')}, standard error {100 * error:.1f} points{others}"
