"""A sweep is ordinary runs, found again by what they are: trained once, whatever interrupts it, and compared."""

import dataclasses
import json
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from model.runs.folder import Run
from model.runs.opening import open_run
from model.training.choose import Choice, plan_run
from model.training.sweep import Sweep, combinations, open_swept, plan_sweep
from model.training.train import Trainer
from pipeline.errors import LockedError
from pipeline.shards.read import open_split
from tests.small import beside_shards, command, in_process
from tests.training.sweeps import GRID, SWEEP, swept_once


@pytest.fixture
def work(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `shards/sample` and no run."""
    return beside_shards(tmp_path, tmp_path_factory)


@pytest.fixture
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder after the sweep of `GRID`, and what the command said; nobody may write into it."""
    return swept_once(tmp_path_factory)


@pytest.fixture
def done(swept: tuple[Path, Any], tmp_path: Path) -> Path:
    """A copy of that folder."""
    return Path(shutil.copytree(swept[0], tmp_path / "done"))


def arrays_of(folder: Path) -> dict[str, int]:
    """The files that hold weights, by their inodes: another where one was written anew."""
    return {str(path.relative_to(folder)): path.stat().st_ino for path in folder.rglob("arrays.safetensors")}


def settings_of(folder: Path) -> list[tuple[int, float]]:
    """Batch and learning rate of each run, in their order."""
    configs = [json.loads(path.read_text()) for path in sorted(folder.glob("runs/*/config.json"))]
    return [(config["batch"], config["lr"]) for config in configs]


def test_every_combination_is_trained_once_and_told_best_first(
    swept: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, ran = swept
    assert ran.returncode == 0, ran.stderr
    assert settings_of(folder) == [(64, 0.01), (64, 0.001), (128, 0.01), (128, 0.001)]
    assert all(open_run(run).card.finished for run in (folder / "runs").iterdir() if run.is_dir())
    said = ran.stderr.splitlines()
    assert said[:3] == ["shards: shards/sample", "sweep on shards/sample: 4 runs (2 of batch x 2 of lr)",
                        "0 done, 0 to resume, 4 new"]  # fmt: skip
    assert [line for line in said if line.startswith("run 3 of 4")] == ["run 3 of 4: batch 128, lr 0.01"]
    assert sum(line.startswith("about ") and line.endswith("left for 1 run") for line in said) == 1
    assert said[-2] == "runs/sweep.png: the curves"
    best_run = ran.stdout.splitlines()[1].split()[-1]
    assert said[-1] == f"next: sketchpipe evaluate --run {best_run}, sketchpipe runs"
    table, grid, best = ran.stdout.split("\n\n")
    rows = [line.split() for line in table.splitlines()]
    assert rows[0] == ["lr", "batch", "best", "top-1", "at", "epoch", "last", "top-1", "epochs", "minutes", "run"]
    assert [row[0] == "*" for row in rows[1:]] == [True, False, False, False]
    scores = [float(row[-6].rstrip("%")) for row in rows[1:]]
    assert scores == sorted(scores, reverse=True)
    lines = [line.split() for line in grid.splitlines()]
    assert lines[:2] == [["validation", "top-1"], ["lr", "\\", "batch", "64", "128"]]
    for lr, *cells in lines[2:]:
        for batch, cell in zip(("64", "128"), cells, strict=True):
            assert [row[-6] for row in rows if row[-8:-6] == [lr, batch]] == [cell]
    assert best.startswith(f"best: batch {rows[1][2]}, lr {rows[1][1]}: validation top-1 {rows[1][3]} on ")
    with Image.open(folder / "runs" / "sweep.png") as picture:
        assert picture.format == "PNG"


def test_the_same_command_again_trains_nothing_and_tells_the_same(
    swept: tuple[Path, subprocess.CompletedProcess[str]], done: Path
) -> None:
    shutil.copytree(done / "runs" / "002-sketch-classifier", done / "runs" / "009-damaged")
    (done / "runs" / "009-damaged" / "config.json").write_text("{")
    before = arrays_of(done)
    ran = in_process(*GRID, cwd=done)
    assert (ran.returncode, ran.stdout) == (0, swept[1].stdout)
    assert "skipped: runs/009-damaged/config.json: damaged" in ran.stderr
    assert "4 done, 0 to resume, 0 new" in ran.stderr
    assert "compiling" not in ran.stderr
    assert arrays_of(done) == before


def test_a_wider_grid_trains_only_what_is_new(done: Path) -> None:
    before = arrays_of(done)
    ran = in_process(*SWEEP, "--lr", "0.001", "--batch", "128,256,64", cwd=done)
    assert "2 done, 0 to resume, 1 new" in ran.stderr
    assert settings_of(done)[4:] == [(256, 0.001)]
    assert before.items() < arrays_of(done).items()


def test_a_run_of_the_train_command_counts_and_a_sweeps_run_is_what_that_trains(work: Path, done: Path) -> None:
    ran = in_process("train", "--shards", "shards/sample", *SWEEP[1:], "--lr", "0.001", "--batch", "128",
                     "--run", "runs/mine", cwd=work)  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    (mine,) = (work / "runs").glob("*/checkpoints/*/arrays.safetensors")
    (same,) = (done / "runs").glob("004-*/checkpoints/*/arrays.safetensors")
    assert mine.read_bytes() == same.read_bytes()
    ran = in_process(*SWEEP, "--lr", "0.001", "--batch", "128", cwd=work)
    assert "1 done, 0 to resume, 0 new" in ran.stderr
    assert settings_of(work) == [(128, 0.001)]


def test_as_json_it_tells_runs_best_and_test_scores(done: Path) -> None:
    ran = in_process(*GRID, "--test", "--json", "--curves", "my.png", cwd=done)
    told = json.loads(ran.stdout)
    assert told["swept"] == {"batch": [64, 128], "lr": [0.01, 0.001]}
    assert [run["state"] for run in told["runs"]] == ["finished"] * 4
    best = max(told["runs"], key=lambda run: run["best_validation_top1"])
    assert told["best"]["runs"] == [told["runs"][0]["run"]]
    assert told["best"]["validation_top1"] == best["best_validation_top1"] == told["runs"][0]["best_validation_top1"]
    assert told["best"]["values"] == {"batch": told["runs"][0]["batch"], "lr": told["runs"][0]["lr"]}
    evaluated = json.loads(in_process("evaluate", "--run", told["runs"][0]["run"], "--json", cwd=done).stdout)
    assert [one["run"] for one in told["test"]] == [told["runs"][0]["run"]]  # of the others nobody may know
    assert told["test"][0]["top1"] == evaluated["top1"]
    assert (done / "my.png").exists()


def begin_diverging(work: Path, lr: float) -> Path:
    """A run whose first checkpoint holds weights so large that its loss cannot be finite."""
    settings = {"network": "sketch-classifier", "epochs": 1, "batch": 64, "lr": lr}
    split = open_split(work / "shards" / "sample", "train")
    plan = plan_run(split, settings)
    run = Run(work / "runs" / "001-sketch-classifier", plan.config, plan.card)
    run.create()
    state, position = Trainer(run, split, jax.devices()[:1])._start()
    large = jax.tree.map(lambda leaf: np.full_like(leaf, 1e30), state.params)
    run.save(dataclasses.replace(state, params=large), position, best=False)
    return run.folder


def test_a_run_that_diverges_stands_in_the_table_and_is_not_tried_again(work: Path) -> None:
    folder = begin_diverging(work, 0.5)
    ran = in_process(*SWEEP, "--lr", "0.5", "--batch", "64", "--test", cwd=work)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "no run has finished")
    assert "0 done, 1 to resume, 0 new" in ran.stderr
    arguments = (*SWEEP, "--lr", "0.5,0.001", "--batch", "64")
    assert "runs/001-sketch-classifier: the loss is nan in step" in ran.stderr
    ran = in_process(*arguments, cwd=work)
    assert ran.returncode == 0, ran.stderr
    assert "1 done, 0 to resume, 1 new" in ran.stderr
    row = ran.stdout.splitlines()[2]
    assert row.split()[:2] == ["0.5", "64"]
    assert "diverged: the loss is nan in step" in row
    assert open_run(folder).card.diverged is not None
    assert "best: lr 0.001: " in ran.stdout
    before = arrays_of(work)
    again = in_process(*arguments, cwd=work)
    assert (again.returncode, again.stdout) == (0, ran.stdout)
    assert "2 done, 0 to resume, 0 new" in again.stderr
    assert arrays_of(work) == before
    listed = in_process("runs", cwd=work).stdout.splitlines()
    assert "diverged: the loss is nan in step" in listed[1]
    # `train --resume` looks for a run that can be finished.
    resumed = in_process("train", "--resume", cwd=work)
    assert (resumed.returncode, "no unfinished run to resume" in resumed.stderr) == (3, True)


def test_the_order_of_combinations_is_that_of_the_settings() -> None:
    lists = {"seed": [0, 1], "lr": [0.1], "network": ["b", "a"]}
    found = [(one["network"], one["seed"]) for one in combinations(lists)]
    assert found == [("b", 0), ("b", 1), ("a", 0), ("a", 1)]


def test_a_run_that_another_process_holds_is_tried_again_at_the_end(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(work)
    split = open_swept(Path("shards/sample"), test=True)
    plans = plan_sweep(split, {"lr": [0.01, 0.001]}, {"network": "sketch-classifier", "batch": 64}, jax.devices()[:1])
    sweep = Sweep(plans, split.folder)
    assert (sweep.done, sweep.begun, sweep.errors) == (0, 0, [])
    told: list[tuple[int, bool, bool]] = []

    def train(place: int, choice: Choice) -> None:
        if place == 0 and not told:
            raise LockedError("another process")
        choice.run.create()
        choice.run.finish()

    sweep.train(train, lambda folder, is_held, again: told.append((int(folder.name[:3]), is_held, again)))
    assert told == [(1, True, False), (1, False, False), (2, False, True)]
    assert ([sweep.folders[place].name for place in (1, 0)], sweep.held, sweep.left) == (
        ["001-sketch-classifier", "002-sketch-classifier"], {}, [0, 0]
    )  # fmt: skip
    assert Sweep(plans, split.folder).done == 2


@pytest.mark.long
def test_a_sweep_that_is_killed_and_interrupted_goes_on_and_trains_nothing_twice(work: Path) -> None:
    arguments = (*SWEEP[:-1], "4", "--lr", "0.01,0.001", "--batch", "16,32")
    known: dict[tuple[str, str], int] = {}
    for number, at in ((signal.SIGKILL, 2), (signal.SIGINT, 3)):
        with subprocess.Popen(command(*arguments), cwd=work, stderr=subprocess.PIPE, text=True) as running:
            assert running.stderr is not None
            begun = False
            for line in running.stderr:
                begun = begun or line.startswith(f"run {at} of 4")
                if begun and line.startswith("epoch 1/4"):
                    break
            running.send_signal(number)
            said = running.stderr.read()
        assert running.returncode == (-9 if number == signal.SIGKILL else 130)
        assert "Traceback" not in said
        finished = [run for run in sorted((work / "runs").glob("0*")) if open_run(run).card.finished]
        assert len(finished) == at - 1
        now = {(run.name, name): inode for run in finished for name, inode in arrays_of(run).items()}
        assert known.items() <= now.items()
        known = now
    ran = in_process(*arguments, cwd=work)
    assert ran.returncode == 0, ran.stderr
    assert "2 done, 1 to resume, 1 new" in ran.stderr
    assert "resuming runs/003-sketch-classifier" in ran.stderr
    assert settings_of(work) == [(16, 0.01), (16, 0.001), (32, 0.01), (32, 0.001)]
    for run in sorted((work / "runs").glob("0*")):
        lines = [json.loads(line)["epoch"] for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert lines == [0, 1, 2, 3]
