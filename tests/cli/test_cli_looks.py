"""What a run sees: encoding, framing and augmentation from `train` to `predict`, and shards that are damaged."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.networks import make_config
from model.training.meter import Reading
from model.training.train import Progress
from pipeline.cli.training import TrainingLine, advice
from pipeline.rendering.augment import Augmentation
from pipeline.rendering.render import RenderConfig, render
from pipeline.shards.read import open_split
from tests.small import SMALL, damaged_copy, in_process, sample_shards

pytestmark = pytest.mark.long

CONFIG = make_config("sketch-classifier", ("ant", "cat"), drawings=100)
TRAIN = ("train", "--shards", "shards", *SMALL, "--epochs", "1", "--run", "run")


@pytest.fixture
def work(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `shards` of several files and row groups."""
    shards = sample_shards(tmp_path_factory, "row-groups-of-3", row_group_rows=3, num_shards=3)
    (tmp_path / "shards").symlink_to(shards)
    return tmp_path


@pytest.mark.parametrize(("encoding", "channels"), [("gray", 1), ("order", 3)])
def test_a_run_is_trained_scored_and_asked_in_its_own_encoding_and_framing(
    work: Path, encoding: str, channels: int
) -> None:
    looks = ("--encoding", encoding, "--framing", "centred", "--augment", "prefix=0.5,jitter=2")
    ran = in_process(*TRAIN, *looks, cwd=work)
    assert ran.returncode == 0, ran.stderr
    config = json.loads((work / "run" / "config.json").read_text())
    assert (config["encoding"], config["framing"]) == (encoding, "centred")
    assert Augmentation.parse(config["augment"]) == Augmentation(prefix=0.5, jitter=2)
    ran = in_process("evaluate", "--run", "run", "--json", cwd=work)
    assert json.loads(ran.stdout)["drawings"] > 0
    ran = in_process("predict", "--random", "--seed", "3", "--run", "run", "--json", cwd=work)
    key = json.loads(ran.stdout)["key_id"]
    test = open_split(work / "shards", "test")
    drawings = test.read_rows(np.arange(len(test)))
    drawn = render(drawings.take(np.flatnonzero(drawings.key_id == key)), RenderConfig(64, 1.25, encoding, "centred"))
    picture = np.asarray(Image.open(work / "image.png"))
    np.testing.assert_array_equal(picture.reshape(256, 256 + 8 + 64, -1)[:64, -64:], drawn[0])
    assert drawn.shape[-1] == channels


def test_a_damaged_shard_is_named_and_stops_a_run_or_is_done_without(work: Path) -> None:
    name = "train-00001-of-00003.parquet"
    shards = damaged_copy((work / "shards").resolve(), work / "damaged", name)
    train = ("train", "--shards", shards.name, *TRAIN[3:])
    ran = in_process(*train, cwd=work)
    assert ran.returncode == 4
    assert f"damaged/{name}: damaged" in ran.stderr.splitlines()[-1]
    shutil.rmtree(work / "run")
    ran = in_process(*train, "--skip-corrupt", cwd=work)
    assert ran.returncode == 0, ran.stderr
    metrics = json.loads((work / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    lost = metrics["skipped"][f"damaged/{name}"]
    assert 3 <= lost < 492
    assert f"damaged/{name}: {lost} drawings skipped as unreadable" in ran.stderr


def test_who_waits_for_data_is_told_which_knob_to_turn() -> None:
    assert "reading shards is the limit" in advice(CONFIG, 0.5, reading_seconds=3.0, rendering_seconds=2.0)
    assert "--encoding gray" in advice(CONFIG, 0.5, reading_seconds=2.0, rendering_seconds=3.0)
    gray = dataclasses.replace(CONFIG, encoding="gray")
    assert advice(gray, 0.5, reading_seconds=2.0, rendering_seconds=3.0).endswith("more cores would help")


def test_advice_is_given_once_and_not_for_a_moment(capsys: pytest.CaptureFixture[str]) -> None:
    told = TrainingLine(CONFIG)
    metrics = {"epoch": 0, "seconds": 9.0, "waiting": 0.3, "reading_seconds": 1.0, "rendering_seconds": 2.0}
    for seconds in (2.0, 60.0, 60.0):
        told.epoch_done({**metrics, "waiting_seconds": seconds})
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith("waiting for data 30%") for line in lines] == [False, False, True, False]


def test_a_report_without_a_step_since_the_last_one_shows_the_epoch_alone(capsys: pytest.CaptureFixture[str]) -> None:
    line = TrainingLine(CONFIG, pause_seconds=0.0)
    line.report(Progress(0, 7, 7, Reading([], float("nan"), 0.0, 0.0), None))
    assert capsys.readouterr().err == f"epoch 1/{CONFIG.epochs}\n"


@pytest.mark.parametrize(
    ("epochs", "epoch", "advised"),
    [(3, 0, "; --epochs 1 would take 20 s"), (4, 0, "; --epochs 2 would take 30 s"), (1, 0, ""), (4, 2, "")],
)
def test_fewer_epochs_are_advised_with_their_time_and_only_where_a_run_begins(
    capsys: pytest.CaptureFixture[str], epochs: int, epoch: int, advised: str
) -> None:
    line = TrainingLine(dataclasses.replace(CONFIG, epochs=epochs))
    line.report(Progress(epoch, 10, 100, Reading([1.0], 0.5, 50.0, 0.0), 60.0))
    assert capsys.readouterr().err.splitlines()[0] == f"50 images/s: about 1 min 0 s left{advised}"
