import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.compute.steps import TrainState
from model.runs.calibration import Calibration, write_calibration
from model.runs.folder import Run
from model.runs.state import load_checkpoint
from model.scoring import loaded
from model.scoring.loaded import load_best
from pipeline.errors import CheckpointError
from tests.runs.fresh_runs import CLASSES, fresh_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return fresh_run(tmp_path / "run", "sketch-classifier")


def state_of(run: Run, bias: float) -> Any:
    """The run's state with another bias of its last layer."""
    params = load_best(run).variables["params"]
    params["dense"]["bias"] = np.full(len(CLASSES), bias, np.float32)
    return TrainState(np.int32(1), params, {}, ())  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(run: Run, value: float) -> None:
    position = dataclasses.replace(load_best(run).position, epoch=2)
    run.save(state_of(run, value), position, best=True)
    with pytest.raises(CheckpointError, match="00002-0000000: params/dense/bias is not finite, the training diverged"):
        load_best(run)


def test_a_checkpoint_that_its_trainer_removes_before_it_is_read_is_chosen_anew(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    position, state, epochs = load_best(run).position, state_of(run, 7), itertools.count(2)

    def read_late(folder: Path) -> Any:
        if (epoch := next(epochs)) < 5:
            run.save(state, dataclasses.replace(position, epoch=epoch), best=True)
        return load_checkpoint(folder)

    monkeypatch.setattr(loaded, "load_checkpoint", read_late)
    found = load_best(run)
    assert found.checkpoint == "00004-0000000"
    assert found.position.epoch == 4
    assert found.variables["params"]["dense"]["bias"].tolist() == [7] * len(CLASSES)


def test_a_checkpoint_that_is_damaged_is_said(run: Run) -> None:
    (run.folder / "checkpoints" / "00001-0000000" / "arrays.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"arrays\.safetensors: missing"):
        load_best(run)


def test_a_temperature_is_that_of_its_checkpoint_alone(run: Run) -> None:
    plain = load_best(run)
    mine = Calibration(2.5, plain.checkpoint, plain.arrays_sha256, "abc", 100, 1.5, 1.25, 0.25, 0.125)
    write_calibration(run.folder, mine)
    assert (plain.temperature, load_best(run).temperature) == (1.0, 2.5)
    assert load_best(run, calibrated=False).temperature == 1.0
    run.save(state_of(run, 7), dataclasses.replace(plain.position, epoch=2), best=True)
    other = load_best(run)
    assert (other.temperature, other.fitted, other.calibration) == (1.0, None, mine)
