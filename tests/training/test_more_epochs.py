"""A finished run that is trained for more epochs: its schedule, its interruptions, and what is refused."""

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

from model.networks import make_config
from model.runs.calibration import Calibration, write_calibration
from model.runs.card import Added, RunCard
from model.runs.checkpoint import Position, digest_of, load_position
from model.runs.folder import Run
from model.runs.opening import open_run
from model.runs.overview import summarize
from model.scoring.loaded import load_best
from model.training.choose import choose_run, found_run, newest_unfinished, plan_run, unfinished_run
from model.training.optimizer import make_schedule
from model.training.stopping import TrainingStoppedError
from model.training.tensorboard.events import read_events
from model.training.train import Progress, Trainer
from pipeline.errors import CheckpointError, InputError, LockedError, MismatchError, UsageError
from pipeline.shards.read import open_split
from pipeline.storage.sealed import seal, unseal
from tests.small import change_card, command, in_process, sample_shards, trained

STEPS = 7  # an epoch: 64 of 492 drawings
LR = 0.002
COSINE = {"optimizer": "adamw", "schedule": "cosine", "warmup": 0.1, "lr": LR}
COMPARED = ("epoch", "step", "train_loss", "train_accuracy", "learning_rate", "validation_loss", "validation_top1")
RUN = "runs/001-sketch-classifier"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_shards(tmp_path_factory)


def trainer_of(run: Run, shards: Path) -> Trainer:
    return Trainer(run, open_split(shards, "train"), jax.devices()[:1])


def trained_run(folder: Path, shards: Path, **changes: Any) -> Path:
    """A finished run of two epochs."""
    split = open_split(shards, "train")
    settings = {"epochs": 2, "batch": 64, "image_size": 16, **changes}
    config = make_config("sketch-classifier", split.manifest.classes, drawings=len(split), **settings)
    run = Run(folder, config, RunCard(str(shards), str(shards), split.manifest.checksum, True, {}))
    run.create()
    trainer_of(run, shards).fit()
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, shards: Path) -> Path:
    """A finished run of two epochs, with a cosine; nobody may write into it."""
    return trained_run(tmp_path_factory.mktemp("runs") / "finished", shards, **COSINE)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "runs" / "001-run"))


def add_epochs(folder: Path, shards: Path, epochs: int, *stops: tuple[int, int], **settings: float) -> None:
    """Train a run up to `epochs` by the same settings again and again, stopped at each epoch and step of `stops`."""
    for stop in (*stops, None):
        choice = choose_run(None, folder, {"epochs": epochs, **settings}, only_begun=True)
        if choice.adds_epochs:
            choice.run.write_added(choice.replaces)
        trainer = trainer_of(choice.run, shards)

        def report(progress: Progress, stop: tuple[int, int] | None = stop) -> None:
            if (progress.epoch, progress.step) == stop:
                signal.raise_signal(signal.SIGINT)

        trainer.report = report
        if stop is None:
            trainer.fit()
        else:
            with pytest.raises(TrainingStoppedError):
                trainer.fit()


def metrics_of(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: line[name] for name in COMPARED} for line in lines]


def final_arrays(folder: Path) -> bytes:
    last = open_run(folder).checkpoint(best=False)
    assert last is not None
    return (last / "arrays.safetensors").read_bytes()


@pytest.fixture(autouse=True)
def report_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.training.meter.REPORT_SECONDS", 0.0)


def test_epochs_are_added_twice_and_an_interrupted_run_ends_with_the_very_bits_of_one_never_interrupted(
    run: Path, shards: Path, tmp_path: Path
) -> None:
    best = open_run(run).checkpoint(best=True)
    assert best is not None
    write_calibration(run, Calibration(2.0, best.name, digest_of(best), "", 100, 1.0, 1.0, 0.1, 0.1))
    stopped = Path(shutil.copytree(run, tmp_path / "stopped"))
    add_epochs(run, shards, 4)
    assert open_run(run).card.finished
    add_epochs(run, shards, 5, lr=0.0005)
    add_epochs(stopped, shards, 4, (2, 3), (3, STEPS - 1))
    add_epochs(stopped, shards, 5, (4, 1), lr=0.0005)
    assert final_arrays(stopped) == final_arrays(run)
    assert metrics_of(stopped) == metrics_of(run)
    added = (Added(epochs=4, lr=LR / 2, warmup=0.05), Added(epochs=5, lr=0.0005, warmup=0.05))
    assert open_run(run).card.added == open_run(stopped).card.added == added
    # The best is chosen over all epochs, and a temperature that was fitted for another one is not used.
    lines = metrics_of(run)
    first = max(lines, key=lambda line: line["validation_top1"])["epoch"]
    loaded = load_best(open_run(run))
    assert loaded.checkpoint == f"{first + 1:05d}-0000000"
    assert (loaded.fitted is not None) == (loaded.checkpoint == best.name)
    for folder in (run, stopped):
        curve = [(event.step, value.simple_value) for event in read_events(folder / "train", 10**6)
                 for value in event.summary.value if value.tag == "epoch/loss"]  # fmt: skip
        assert curve == [(line["step"], pytest.approx(line["train_loss"])) for line in lines]
    summary = summarize(run)
    assert (summary.epochs_done, summary.epochs_planned, summary.state) == (5, 5, "finished")
    assert summary.note == "2 epochs, then to 4 with a peak lr of 0.001, then to 5 with a peak lr of 0.0005"


def test_epochs_are_added_to_a_run_with_a_constant_rate(shards: Path, tmp_path: Path) -> None:
    run = trained_run(tmp_path / "run", shards)
    add_epochs(run, shards, 3)
    assert [line["epoch"] for line in metrics_of(run)] == [0, 1, 2]
    assert metrics_of(run)[-1]["learning_rate"] < 0.0001


def test_the_rate_of_added_epochs_rises_to_its_peak_and_falls_to_nothing() -> None:
    for schedule in ("constant", "cosine"):
        config = make_config("sketch-classifier", ("a", "b"), drawings=500, epochs=10, lr=0.01, schedule=schedule)
        rate: Any = make_schedule(config, 10, [Added(epochs=30, lr=0.005, warmup=0.05)])
        before: Any = make_schedule(config, 10)
        for step in (0, 5, 99):
            assert rate(step) == pytest.approx(before(step) if callable(before) else before)
        rates = [float(rate(step)) for step in range(100, 300)]
        assert rates[0] == pytest.approx(0.005 / 25, rel=1e-5)  # float32: 0.005 less nearly all of it
        assert int(np.argmax(rates)) == 10  # 5 % of 200
        assert max(rates) == pytest.approx(0.005)
        assert all(np.diff(rates[:11]) > 0)
        assert all(np.diff(rates[10:]) < 0)
        assert rates[-1] < 1e-6


@pytest.mark.parametrize("epochs", [1, 2])
def test_no_more_epochs_than_are_done_is_refused(run: Path, epochs: int) -> None:
    with pytest.raises(UsageError, match=rf"2 epochs done, .* expected --epochs above 2, found {epochs}"):
        choose_run(None, run, {"epochs": epochs}, only_begun=True)


def test_what_cannot_be_added_is_refused_and_leaves_the_run_as_it_was(run: Path) -> None:
    card = (run / "run.json").read_bytes()
    with pytest.raises(UsageError, match="lr must be above 0"):
        choose_run(None, run, {"epochs": 4, "lr": 2.0}, only_begun=True)
    with pytest.raises(MismatchError, match=r"\(batch 64 in the run, 32 here\)"):
        choose_run(None, run, {"epochs": 4, "batch": 32}, only_begun=True)
    one, other = (choose_run(None, run, {"epochs": epochs}, only_begun=True).run for epochs in (4, 5))
    with one.locked(), pytest.raises(LockedError, match="is training it"):
        other.write_added()
    assert (run / "run.json").read_bytes() == card
    one.write_added()
    with pytest.raises(LockedError, match="another process has just added epochs"):
        other.write_added()
    shutil.rmtree(run / "checkpoints")
    change_card(run, finished=True)
    with pytest.raises(CheckpointError, match="no checkpoint left to train further from"):
        choose_run(None, run, {"epochs": 8}, only_begun=True)


def test_an_unfinished_run_is_resumed_first(run: Path) -> None:
    change_card(run, finished=False)
    with pytest.raises(MismatchError, match=r"epochs 2 in the run, 4 here\); .* after its 2 epochs, --epochs"):
        choose_run(None, run, {"epochs": 4}, only_begun=True)
    added = (Added(epochs=6, lr=0.001, warmup=0.05),)
    change_card(run, added=added)
    choice = choose_run(None, run, {"epochs": 6, "lr": 0.001}, only_begun=True)
    assert (choice.adds_epochs, choice.run.card.added) == (False, added)


def test_a_total_can_be_corrected_until_the_first_step_of_the_added_epochs(run: Path, shards: Path) -> None:
    choose_run(None, run, {"epochs": 600}, only_begun=True).run.write_added()
    assert open_run(run).epochs == 600
    choice = choose_run(None, run, {"epochs": 3, "lr": 0.5}, only_begun=True)
    choice.run.write_added(choice.replaces)
    assert [(one.epochs, one.lr) for one in open_run(run).card.added] == [(3, 0.5)]
    trainer = trainer_of(open_run(run), shards)
    trainer.report = lambda _progress: signal.raise_signal(signal.SIGINT)
    with pytest.raises(TrainingStoppedError):
        trainer.fit()
    with pytest.raises(MismatchError, match=r"epochs 3 in the run, 4 here; lr 0\.5 in the run, 0\.1 here"):
        choose_run(None, run, {"epochs": 4, "lr": 0.1}, only_begun=True)


def test_a_run_with_added_epochs_is_no_other_runs_result(run: Path, shards: Path) -> None:
    settings = {"image_size": 16, "batch": 64, "network": "sketch-classifier", **COSINE}
    plans = [plan_run(open_split(shards, "train"), {**settings, "epochs": epochs}) for epochs in (2, 4)]
    assert found_run(plans[0], [open_run(run)]) is not None
    change_card(run, added=(Added(epochs=4, lr=0.001, warmup=0.05),))
    assert [found_run(plan, [open_run(run)]) for plan in plans] == [None, None]
    change_card(run, finished=False)
    assert [unfinished_run(plan, run.parent) for plan in plans] == [None, None]
    found = newest_unfinished(run.parent)
    assert found is not None
    assert found.folder == run


def test_a_run_of_the_format_before_is_read_and_trained_further(run: Path, shards: Path) -> None:
    fields = {name: value for name, value in unseal((run / "run.json").read_text())[0].items() if name != "added"}
    (run / "run.json").write_text(seal({**fields, "format_version": 4}))
    assert (open_run(run).card.format_version, summarize(run).state) == (4, "finished")
    last = open_run(run).checkpoint(best=False)
    assert last is not None
    position = load_position(last)
    text = json.dumps({name: value for name, value in dataclasses.asdict(position).items() if "sum" not in name})
    assert Position(**json.loads(text)) == position
    add_epochs(run, shards, 3)
    assert open_run(run).card.format_version == 5


def test_the_command_adds_epochs_is_killed_as_it_begins_and_resumes(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    work = Path(shutil.copytree(trained(tmp_path_factory), tmp_path / "work"))
    ran = in_process("train", "--resume", "--run", RUN, cwd=work)
    further = (
        f"`sketchpipe train --resume --run {RUN} --epochs 4`, or start a new run from its weights with --start {RUN}"
    )
    assert (ran.returncode, ran.stderr) == (
        0, f"{RUN}: nothing to do, 2 epochs done; train it for more epochs with {further}\n",
    )  # fmt: skip
    arguments = ("train", "--resume", "--run", RUN, "--epochs", "3", "--shards", "shards/sample")
    with subprocess.Popen(command(*arguments), cwd=work, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        line = next(running.stderr)
        running.kill()
    assert line.startswith(f"adding epochs to {RUN} on ")
    assert line.endswith("2 epochs, then to 3 with a peak lr of 0.0005, batch 64\n")
    card = open_run(work / RUN).card
    assert (card.finished, len(card.added)) in ((True, 0), (False, 1))
    ran = in_process(*arguments, cwd=work)
    assert ran.returncode == 0, ran.stderr
    assert "\nepoch 3/3: loss " in ran.stderr
    assert ran.stderr.splitlines()[-1] == (
        f"{RUN}: done; next: sketchpipe evaluate --run {RUN}, sketchpipe predict --random --run {RUN}"
    )
    (row,) = [line for line in in_process("runs", cwd=work).stdout.splitlines() if line.startswith(RUN)]
    assert row.endswith("  finished: 2 epochs, then to 3 with a peak lr of 0.0005")
    assert " 3/3 " in row
    again = in_process(*arguments, cwd=work)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "3 epochs done, and --epochs is the total with these; expected --epochs above 3, found 3" in again.stderr


def test_without_a_named_run_no_finished_one_is_trained_further(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished.parent)
    with pytest.raises(InputError, match="add epochs to a finished one with --run DIR --epochs TOTAL"):
        choose_run(None, None, {"epochs": 4}, only_begun=True)
