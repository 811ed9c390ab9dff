"""Runs that start from the weights of another."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from model.compute.steps import TrainState
from model.networks import make_config
from model.runs.card import RunCard
from model.runs.checkpoint import Position
from model.runs.folder import Run
from model.runs.opening import open_run
from model.scoring.loaded import LoadedRun
from model.training.transfer import started
from tests.small import change_card, in_process, sample_shards, trained

SMALL = ("--network", "sketch-classifier", "--batch", "64", "--epochs", "1")


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on all ten classes of the sample."""
    return trained(tmp_path_factory) / "runs" / "001-sketch-classifier"


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of three of them."""
    return sample_shards(tmp_path_factory, "three-classes", classes=["cat", "fish", "sun"])


def arrays_of(run: Path, name: str = "") -> dict[str, Any]:
    folder = run / "checkpoints" / name if name else open_run(run).checkpoint(best=True)
    assert folder is not None
    return load_file(folder / "arrays.safetensors")


def test_a_run_on_other_classes_takes_all_weights_but_the_last_layers(parent: Path, few: Path, tmp_path: Path) -> None:
    # A learning rate so small that weights stay where they started.
    ran = in_process(
        "train", "--shards", str(few), *SMALL, "--start", str(parent), "--lr", "1e-12", "--run", "child", cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    before, after = arrays_of(parent), arrays_of(tmp_path / "child")
    for layer in ("conv1", "conv2"):
        np.testing.assert_allclose(after[f"params/{layer}/kernel"], before[f"params/{layer}/kernel"], atol=1e-6)
    assert after["params/dense/kernel"].shape == (1352, 3)
    best = open_run(parent).checkpoint(best=True)
    assert best is not None
    digest = hashlib.sha256((best / "arrays.safetensors").read_bytes()).hexdigest()
    assert open_run(tmp_path / "child").config.start == digest


def test_a_run_on_the_same_classes_takes_the_last_layer_too(parent: Path, tmp_path: Path) -> None:
    shards = parent.parents[1] / "shards" / "sample"
    ran = in_process(
        "train",
        "--shards",
        str(shards),
        *SMALL,
        "--start",
        str(parent),
        "--lr",
        "1e-12",
        "--run",
        "child",
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    before, after = arrays_of(parent), arrays_of(tmp_path / "child")
    np.testing.assert_allclose(after["params/dense/kernel"], before["params/dense/kernel"], atol=1e-6)


def test_a_run_that_was_stopped_at_once_goes_on_without_the_other(parent: Path, few: Path, tmp_path: Path) -> None:
    command = ("train", "--shards", str(few), *SMALL, "--run", "child")
    assert in_process(*command, "--start", str(parent), cwd=tmp_path).returncode == 0
    whole = arrays_of(tmp_path / "child")
    run = tmp_path / "child"
    # As a process leaves it that was killed before its first epoch was done.
    again = tmp_path / "again"
    again.mkdir()
    for name in ("config.json", "run.json"):
        shutil.copy(run / name, again / name)
    change_card(again, finished=False)
    refused = in_process("train", "--run", "again", "--resume", cwd=tmp_path)
    assert refused.returncode == 3
    assert "again: it has no checkpoint yet; name the run that it starts from with --start" in refused.stderr
    resumed = in_process(*command[:-1], "again", "--start", str(parent), cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    for name, array in arrays_of(again).items():
        np.testing.assert_array_equal(array, whole[name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--network", "quickdraw-classifier"),
            "its network is sketch-classifier, this run's is quickdraw-classifier, so it cannot start there; "
            "use --network sketch-classifier",
        ),
        (("--encoding", "gray"), "its encoding is palette, this run's is gray"),
        (("--framing", "centred"), "its framing is corner, this run's is centred"),
    ],
)
def test_a_run_that_sees_or_is_something_else_cannot_start_from_it(
    parent: Path, few: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    ran = in_process(
        "train", "--shards", str(few), *SMALL, *options, "--start", str(parent), "--run", "child", cwd=tmp_path
    )
    assert ran.returncode == 5
    assert message in ran.stderr
    assert not (tmp_path / "child").exists()


def test_there_must_be_a_run_to_start_from(few: Path, tmp_path: Path) -> None:
    ran = in_process("train", "--shards", str(few), *SMALL, "--start", "nothing", cwd=tmp_path)
    assert ran.returncode == 3
    assert "nothing: no run here" in ran.stderr


@pytest.mark.parametrize(("classes", "last"), [(("ant", "cat"), "theirs"), (("ant", "dog"), "own")])
def test_statistics_and_all_layers_are_taken_but_the_last_of_other_classes(classes: tuple[str, ...], last: str) -> None:
    config = make_config("sketchnet", ("ant", "cat"), drawings=100)
    run = Run(Path("parent"), config, RunCard("shards", "/shards", "checksum", True, {}))
    variables = {"params": {"stem": "theirs", "dense": "theirs"}, "batch_stats": "theirs"}
    start = LoadedRun(run, "00001-0000000", "digest", Position(1, 0, 0.0), lambda *_: None, variables)
    state = TrainState("own", {"stem": "own", "dense": "own"}, "own", "own")
    found = started(state, start, classes)
    assert found == TrainState("own", {"stem": "theirs", "dense": last}, "theirs", "own")
