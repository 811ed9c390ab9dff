"""A run's event files, read by TensorBoard's own reader, beside its metrics.jsonl."""

import json
import math
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import STORE_EVERYTHING_SIZE_GUIDANCE, EventAccumulator

from model.networks import make_config
from model.runs.card import RunCard
from model.runs.folder import Run
from model.runs.opening import open_run
from model.training import meter
from model.training.stopping import TrainingStoppedError
from model.training.tensorboard import summary_writer
from model.training.tensorboard.events import read_events, write_events
from model.training.tensorboard.summary_writer import DRAWINGS, SCALARS, confusions_table
from model.training.train import Progress, Trainer
from pipeline.shards.read import open_split
from tests.small import SMALL, command, in_process, sample_shards

STEPS_PER_EPOCH = 7  # of 64 of 492 drawings
CALLS = ("loss", "top1", "learning_rate", "images_per_second", "waiting")


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_shards(tmp_path_factory)


@pytest.fixture(autouse=True)
def report_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "REPORT_SECONDS", 0.0)


def trainer_of(folder: Path, shards: Path, told: list[str], **changes: Any) -> Trainer:
    """A trainer of the run in `folder`, which is made where it is missing; `told` gets its warnings."""
    split = open_split(shards, "train")
    if (folder / "run.json").exists():
        run = open_run(folder)
    else:
        settings = {"epochs": 2, "batch": 64, "image_size": 16, "augment": "off"} | changes
        config = make_config("sketch-classifier", split.manifest.classes, drawings=len(split), **settings)
        run = Run(folder, config, RunCard(str(shards), str(shards), split.manifest.checksum, True, {}))
        run.create()
    return Trainer(run, split, jax.devices()[:1], warn=told.append)


def train(folder: Path, shards: Path, **changes: Any) -> Path:
    """A run trained to its end, without a warning."""
    told: list[str] = []
    trainer_of(folder, shards, told, **changes).fit()
    assert told == []
    return folder


def train_until(folder: Path, shards: Path, epoch: int, step: int) -> None:
    """Train until a step is done; then be told to stop."""

    def report(progress: Progress) -> None:
        if (progress.epoch, progress.step) == (epoch, step):
            signal.raise_signal(signal.SIGINT)

    trainer = trainer_of(folder, shards, [])
    trainer.report = report
    with pytest.raises(TrainingStoppedError):
        trainer.fit()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, shards: Path) -> Path:
    """A run that was never stopped; nobody may write into it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(meter, "REPORT_SECONDS", 0.0)
        return train(tmp_path_factory.mktemp("runs") / "whole", shards)


def shown(folder: Path) -> EventAccumulator:
    """What TensorBoard's reader finds in a folder."""
    accumulator = EventAccumulator(str(folder), STORE_EVERYTHING_SIZE_GUIDANCE)
    return accumulator.Reload()


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in shown(folder).Scalars(tag)]


def assert_shows_its_metrics(run: Path) -> None:
    """Every epoch is shown once, with the numbers of metrics.jsonl, as far as float32 tells them apart."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for name, tags in SCALARS.items():
        for tag, source in tags.items():
            expected = [(line["step"], float(np.float32(line[source]))) for line in lines if source in line]
            assert expected
            assert curve(run / name, tag) == expected, (name, tag)


def final_arrays(run: Path) -> bytes:
    last = open_run(run).checkpoint(best=False)
    assert last is not None
    return (last / "arrays.safetensors").read_bytes()


def test_curves_are_those_of_metrics_jsonl(whole: Path) -> None:
    assert_shows_its_metrics(whole)
    first, last = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert [first["step"], last["step"]] == [STEPS_PER_EPOCH, 2 * STEPS_PER_EPOCH]
    assert first["learning_rate"] == pytest.approx(open_run(whole).config.lr)


def test_curves_within_an_epoch_have_a_point_a_reading(whole: Path) -> None:
    for name in CALLS:
        found = curve(whole / "train", f"step/{name}")
        assert [step for step, _ in found] == list(range(1, 2 * STEPS_PER_EPOCH + 1))
    mean = np.mean([loss for _, loss in curve(whole / "train", "step/loss")[:STEPS_PER_EPOCH]])
    assert mean == pytest.approx(curve(whole / "train", "epoch/loss")[0][1], rel=1e-6)  # float32 summed otherwise


def test_pictures_and_texts_tell_of_the_first_and_the_last_epoch(whole: Path) -> None:
    train, validation = shown(whole / "train"), shown(whole / "validation")
    ends = [STEPS_PER_EPOCH, 2 * STEPS_PER_EPOCH]
    assert [event.step for event in train.Images("pictures/drawings")] == [1, STEPS_PER_EPOCH + 1]
    assert [event.step for event in validation.Images("pictures/drawings")] == ends
    assert [event.step for event in validation.Images("pictures/confusion")] == ends
    assert [event.step for event in validation.Tensors("confusions/text_summary")] == ends
    picture = validation.Images("pictures/confusion")[0]
    assert picture.encoded_image_string.startswith(b"\x89PNG")
    assert (picture.width, picture.height) > (360, 360)
    (text,) = train.Tensors("configuration/text_summary")
    assert "| network | sketch-classifier |" in text.tensor_proto.string_val[0].decode()


def test_the_drawings_are_those_that_the_network_saw(whole: Path, shards: Path, tmp_path: Path) -> None:
    event = shown(whole / "train").Images("pictures/drawings")[0]
    (tmp_path / "drawings.png").write_bytes(event.encoded_image_string)
    with Image.open(tmp_path / "drawings.png") as picture:
        grid = np.asarray(picture)
    trainer = trainer_of(tmp_path / "run", shards, [])
    batches = trainer.loader.epoch(0)
    batch = next(batches)
    batches.close()
    for image in batch.images[:DRAWINGS]:
        windows = np.lib.stride_tricks.sliding_window_view(grid, image.shape)[:, :, 0]
        assert (windows == image).all(axis=(2, 3, 4)).any()


def test_the_learning_rate_is_that_of_the_last_step(shards: Path, tmp_path: Path) -> None:
    run = train(tmp_path / "run", shards, schedule="cosine", warmup=0.5, lr=0.01)
    rates = [json.loads(line)["learning_rate"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    rising, falling = 0.01 * (1 + 24 * 6 / 7) / 25, 0.01 * (1 + math.cos(math.pi * 6 / 7)) / 2
    assert rates == pytest.approx([rising, falling], rel=1e-5)  # float32


@pytest.mark.parametrize("lost", ["nothing", "the end", "everything"])
def test_a_stopped_run_that_goes_on_shows_each_epoch_once(whole: Path, shards: Path, tmp_path: Path, lost: str) -> None:
    run = tmp_path / "run"
    train_until(run, shards, 1, 3)
    if lost == "the end":  # as a kill leaves it: steps that no checkpoint has, and half a record
        stale = read_events(run / "train", 100)
        stale += read_events(run / "train", 100)[-2:]
        stale[-2].step, stale[-1].step = 12, 13
        file = write_events(run / "train", stale)
        file.path.write_bytes(file.path.read_bytes()[:-5])
    elif lost == "everything":
        for path in (*(run / "train").iterdir(), *(run / "validation").iterdir()):
            path.unlink()
    train(run, shards)
    assert_shows_its_metrics(run)
    expected = curve(whole / "train", "step/loss")
    assert curve(run / "train", "step/loss") == (expected[10:] if lost == "everything" else expected)
    assert final_arrays(run) == final_arrays(whole)


@pytest.mark.parametrize("line", ['{"epoch": 0}', '{"epoch": 0, "seconds": "long", "train_loss": "low"}', "[", ""])
def test_lines_of_the_metrics_that_say_nothing_end_no_training(shards: Path, tmp_path: Path, line: str) -> None:
    run = tmp_path / "run"
    train_until(run, shards, 1, 3)
    (run / "metrics.jsonl").write_text(line + "\n")
    shutil.rmtree(run / "train")
    train(run, shards)
    assert [step for step, _ in curve(run / "train", "epoch/loss")] == [14]


def test_a_picture_that_cannot_be_made_ends_no_training_and_is_told_once(
    whole: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any) -> None:
        raise ValueError("no font")

    monkeypatch.setattr(summary_writer, "matrix_picture", fail)
    told: list[str] = []
    trainer_of(tmp_path / "run", shards, told).fit()
    assert [line.partition(": ")[2] for line in told] == [
        "TensorBoard's files cannot be written (ValueError: no font); training continues"
    ]
    assert final_arrays(tmp_path / "run") == final_arrays(whole)


def test_without_tensorboardx_training_is_the_same_and_says_nothing(
    whole: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_tensorboardx(monkeypatch)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    run = train(tmp_path / "run", shards)
    assert final_arrays(run) == final_arrays(whole)
    assert not (run / "train").exists()
    assert not (run / "validation").exists()


def test_a_tensorboardx_that_cannot_be_imported_is_told_once(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_tensorboardx(monkeypatch)
    (tmp_path / "tensorboardX.py").write_text("raise TypeError('Descriptors cannot be created directly.')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    told: list[str] = []
    trainer_of(tmp_path / "run", shards, told, epochs=1).fit()
    expected = "nothing is written for TensorBoard: tensorboardX cannot be imported (Descriptors cannot be created"
    assert len(told) == 1
    assert told[0].startswith(expected)
    assert open_run(tmp_path / "run").card.finished


def forget_tensorboardx(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "tensorboardX"]:
        monkeypatch.delitem(sys.modules, name)


def test_files_that_cannot_be_written_end_no_training_and_are_told_once(
    whole: Path, shards: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    trainer = trainer_of(tmp_path / "run", shards, told)
    (tmp_path / "run" / "train").write_text("in the way")
    trainer.fit()
    assert len(told) == 1
    expected = r"\S+/run/train: TensorBoard's files cannot be written \(File exists\); training continues"
    assert re.fullmatch(expected, told[0])
    assert final_arrays(tmp_path / "run") == final_arrays(whole)


def test_files_that_vanish_are_written_anew_from_metrics_jsonl(shards: Path, tmp_path: Path) -> None:
    told: list[str] = []
    trainer = trainer_of(tmp_path / "run", shards, told, epochs=4)

    def epoch_done(metrics: dict[str, Any]) -> None:
        if metrics["epoch"] == 1:
            (tmp_path / "run" / "train").rename(tmp_path / "away")

    trainer.epoch_done = epoch_done
    trainer.fit()
    assert len(told) == 1
    assert "cannot be written (No such file or directory); training continues" in told[0]
    assert_shows_its_metrics(tmp_path / "run")


def test_confusions_are_listed_by_their_share_and_escaped() -> None:
    confusion = np.array([[8, 2, 0], [5, 5, 0], [0, 1, 0]])
    rows = confusions_table(confusion, ("cat", "a|b*", "dog")).splitlines()[2:]
    assert rows == [
        r"| dog | a\|b\* | 100% | 1 of 1 |",
        r"| a\|b\* | cat | 50% | 5 of 10 |",
        r"| cat | a\|b\* | 20% | 2 of 10 |",
    ]
    assert confusions_table(np.eye(2, dtype=np.int64), ("cat", "dog")) == "Every drawing was predicted correctly."


@pytest.mark.long
def test_a_killed_training_that_goes_on_shows_each_epoch_once(shards: Path, tmp_path: Path) -> None:
    arguments = ("train", "--shards", str(shards), *SMALL, "--batch", "16", "--epochs", "6", "--run", "run")
    for epochs in (1, 3):
        with subprocess.Popen(command(*arguments), cwd=tmp_path, stderr=subprocess.DEVNULL) as running:
            metrics = tmp_path / "run" / "metrics.jsonl"
            while running.poll() is None and not (metrics.exists() and len(metrics.read_text().splitlines()) >= epochs):
                time.sleep(0.01)  # no pause that a result depends on: another process is waited for
            running.kill()
        assert running.returncode == -signal.SIGKILL
    ran = in_process(*arguments, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert_shows_its_metrics(tmp_path / "run")
    assert len(curve(tmp_path / "run" / "validation", "epoch/top1")) == 6
