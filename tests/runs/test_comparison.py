"""Runs side by side: in what they differ, which setting is the best, and their curves."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from model.runs.comparison import differing, ranked
from model.runs.overview import RunSummary, summarize
from model.runs.tables import grid, seeds_table
from pipeline.cli.comparing import tell_sweep
from tests.runs.made_runs import made
from tests.small import in_process

SCORES = ["best", "top-1", "at", "epoch", "last", "top-1", "epochs", "minutes"]
AUGMENT = "rotation=15,shift=3"


def test_a_comparison_shows_the_settings_that_differ_and_no_others(tmp_path: Path) -> None:
    made(tmp_path / "a", 0.5, 0.75, lr=0.01, batch=64)
    made(tmp_path / "b", 0.5, 0.25, lr=0.0001, batch=64)
    ran = in_process("runs", "a", "b", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    head, *rows = (line.split() for line in ran.stdout.splitlines())
    assert head == ["run", "lr", *SCORES, "parameters", "state"]
    assert [row[:5] for row in rows] == [["a", "0.01", "75.0%", "2", "75.0%"], ["b", "0.0001", "50.0%", "1", "25.0%"]]
    told = json.loads(in_process("runs", "a", "b", "--json", cwd=tmp_path).stdout)
    assert told["differ"] == {"lr": [0.01, 0.0001]}
    same = made(tmp_path / "c", 0.5, 0.75, lr=0.01, batch=64)
    assert "no setting differs" in in_process("runs", "a", same.name, cwd=tmp_path).stderr


def compared(tmp_path: Path, *changes: dict[str, Any]) -> dict[str, list[Any]]:
    folders = [made(tmp_path / f"{place}", 0.5, **one) for place, one in enumerate(changes)]
    return differing([summarize(folder) for folder in folders])


def test_augmentation_is_compared_amount_by_amount(tmp_path: Path) -> None:
    on = AUGMENT.replace("15", "30")
    assert compared(tmp_path / "two", {"augment": AUGMENT}, {"augment": on}) == {"augment rotation": ["15", "30"]}
    assert compared(tmp_path / "off", {"augment": AUGMENT}, {"augment": "off"}) == {"augment": ["on", "off"]}


def test_of_classes_those_are_named_that_not_all_have(tmp_path: Path) -> None:
    found = compared(tmp_path, {"classes": ["ant", "bee"]}, {"classes": ["ant", "bee", "cat"]})
    assert found == {"classes": ["2", "3, with cat"]}


def test_a_setting_that_an_older_format_lacks_differs(tmp_path: Path) -> None:
    made(tmp_path / "old", 0.5, card={"format_version": 1})
    config = json.loads((tmp_path / "old" / "config.json").read_text())
    del config["precision"]
    (tmp_path / "old" / "config.json").write_text(json.dumps(config))
    runs = [summarize(tmp_path / "old"), summarize(made(tmp_path / "new", 0.5))]
    assert differing(runs) == {"precision": [None, "float32"]}


def test_runs_on_other_shards_are_said_to_have_other_validation_drawings(tmp_path: Path) -> None:
    made(tmp_path / "a", 0.5)
    made(tmp_path / "b", 0.5, card={"shards": "shards/b", "shards_checksum": "bb"})
    made(tmp_path / "anew", 0.5, card={"shards_checksum": "cc"})
    made(tmp_path / "link", 0.5, card={"shards": "shards/link"})
    ran = in_process("runs", "a", "b", cwd=tmp_path)
    assert [line.split()[1] for line in ran.stdout.splitlines()] == ["shards", "shards/a", "shards/b"]
    assert "their shards differ" in ran.stderr
    ran = in_process("runs", "a", "anew", cwd=tmp_path)
    assert [line.split()[1:3] for line in ran.stdout.splitlines()][1:] == [["shards/a", "(aa)"], ["shards/a", "(cc)"]]
    assert "no setting differs" in in_process("runs", "a", "link", cwd=tmp_path).stderr


def test_curves_are_drawn_of_what_is_named(tmp_path: Path) -> None:
    runs = [made(tmp_path / f"{k}", 0.5, 0.6, lr=0.01 * k, batch=2**k % 7) for k in range(1, 12)]
    ran = in_process("runs", *map(str, runs), "--curves", "all.png", cwd=tmp_path)
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (0, "all.png: the curves")
    with Image.open(tmp_path / "all.png") as picture:
        assert picture.format == "PNG"
    ran = in_process("runs", str(runs[0]), "--curves", "all.jpg", cwd=tmp_path)
    assert (ran.returncode, "let its name end in .png" in ran.stderr) == (2, True)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["001-a$\\frac$", "002-\u732b", "003-\udcff"])
def test_curves_show_any_name_and_scores_of_nought(tmp_path: Path, name: str) -> None:
    first = made(tmp_path / "runs" / name, 0.0, 0.0, lr=0.01, network=name)
    made(tmp_path / "runs" / "004-b", 0.0, 0.0, lr=0.02)
    flat = [{"epoch": 0, "validation_top1": 0.0, "train_loss": 0.0}]
    for folder in (first, tmp_path / "runs" / "004-b"):
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in flat))
    ran = in_process("runs", "--curves", "curves.png", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "curves.png: the curves\n")


def seeded(tmp_path: Path) -> list[RunSummary]:
    """Two settings of two seeds each: the one with the best run, and the one that is better on average."""
    scores = {(0.01, 0): 0.9, (0.01, 1): 0.5, (0.001, 0): 0.8, (0.001, 1): 0.7}
    return [summarize(made(tmp_path / f"{lr}-{seed}", top1, lr=lr, seed=seed)) for (lr, seed), top1 in scores.items()]


def test_settings_are_ranked_by_their_mean_over_seeds(tmp_path: Path) -> None:
    first, second = ranked(seeded(tmp_path), ["lr", "seed"])
    assert (first.values, first.mean) == ({"lr": 0.001}, pytest.approx(0.75))
    assert (second.values, second.mean) == ({"lr": 0.01}, pytest.approx(0.7))
    assert [line.split() for line in seeds_table([first, second])] == [
        ["lr", "mean", "top-1", "lowest", "highest", "seeds"],
        ["0.001", "75.0%", "70.0%", "80.0%", "2", "of", "2"],
        ["0.01", "70.0%", "50.0%", "90.0%", "2", "of", "2"],
    ]


def test_a_sweep_over_seeds_tells_the_better_mean_and_marks_its_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    swept = {"lr": [0.01, 0.001], "seed": [0, 1]}
    tell_sweep(seeded(tmp_path), swept, Path("shards/a"), tmp_path / "curves.png", test=False, as_json=False)
    table, means, best = capsys.readouterr().out.split("\n\n")
    assert [line.split()[:5] for line in table.splitlines()[1:]] == [
        ["*", "0.001", "64", "0", "80.0%"],
        ["*", "0.001", "64", "1", "70.0%"],
        ["0.01", "64", "0", "90.0%", "1"],
        ["0.01", "64", "1", "50.0%", "1"],
    ]
    assert means.splitlines()[1].split()[:2] == ["0.001", "75.0%"]
    assert best == ("best: lr 0.001: validation top-1 75.0% on 100 drawings, standard error 4.3 points\n")


def test_a_setting_of_which_a_seed_diverged_comes_after_those_that_are_whole(tmp_path: Path) -> None:
    diverged = {"finished": False, "diverged": "the loss is nan in step 3 of epoch 2"}
    lost = summarize(made(tmp_path / "lost", 0.95, lr=0.01, seed=2, card=diverged))
    assert lost.state == "diverged"
    settings = ranked([*seeded(tmp_path), lost], ["lr", "seed"])
    assert [one.values["lr"] for one in settings] == [0.001, 0.01]
    for one in settings:
        one.values["batch"] = 32  # type: ignore[index] # a dictionary here
    table = grid(settings, ("lr", [0.01, 0.001]), ("batch", [32, 64]))
    assert [line.split() for line in table] == [
        ["lr", "\\", "batch", "32", "64"],
        ["0.01", "70.0%,", "1", "diverged", "-"],
        ["0.001", "75.0%", "-"],
    ]


def test_settings_that_a_few_digits_do_not_tell_apart_stay_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rates, batches = [0.00123456781, 0.00123456782, 0.01], [32, 64]
    folders = [(made(tmp_path / f"{lr}-{batch}", lr * batch, lr=lr, batch=batch)) for lr in rates for batch in batches]
    runs = [summarize(folder) for folder in folders]
    assert [len(one.runs) for one in ranked(runs, ["lr", "batch"])] == [1] * 6
    swept = {"lr": rates, "batch": batches}
    tell_sweep(runs, swept, Path("a"), tmp_path / "curves.png", test=False, as_json=False)
    table, cells, best = capsys.readouterr().out.split("\n\n")
    told = {str(rate) for rate in rates}
    assert {line.split()[-8] for line in table.splitlines()[1:]} == told
    assert [line.split() for line in cells.splitlines()[2:]] == [
        ["0.00123456781", "4.0%", "7.9%"],
        ["0.00123456782", "4.0%", "7.9%"],
        ["0.01", "32.0%", "64.0%"],
    ]
    assert best.startswith("best: lr 0.01, batch 64: ")
    compare = in_process("runs", *map(str, folders[:4:2]), cwd=tmp_path).stdout
    assert [line.split()[1] for line in compare.splitlines()[1:]] == ["0.00123456781", "0.00123456782"]
