import json
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from small import in_process, trained

from model import calibration
from model.calibration import CALIBRATION, load_temperature, read_calibration
from model.evaluate import load_network
from model.predict import Predictor
from model.reliability import fit_temperature, negative_log_likelihood
from model.runs.checkpoint import load_checkpoint
from model.runs.folder import open_run
from pipeline.errors import CheckpointError
from pipeline.rendering.render import render
from pipeline.shards.read import open_split

RUN = "runs/001-sketch-classifier"
SCORES = ("top1", "top3", "map3", "balanced_top1", "classes")


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and its temperature; nobody writes into it."""
    folder = tmp_path_factory.mktemp("calibrated") / "work"
    shutil.copytree(trained(tmp_path_factory), folder)
    ran = in_process("evaluate", "--calibrate", "--json", cwd=folder)
    assert ran.returncode == 0, ran.stderr
    (folder / "evaluated.json").write_text(ran.stdout)
    (folder / "said.txt").write_text(ran.stderr)
    return folder


@pytest.fixture
def run(calibrated: Path, tmp_path: Path) -> Path:
    """A copy of that run; `tmp_path` is a folder to work in, beside its shards."""
    (tmp_path / "shards").symlink_to(calibrated / "shards")
    return Path(shutil.copytree(calibrated / RUN, tmp_path / RUN))


def test_the_temperature_is_the_best_of_the_validation_drawings(calibrated: Path) -> None:
    stored, run = json.loads((calibrated / RUN / CALIBRATION).read_text()), open_run(calibrated / RUN)
    split = open_split(calibrated / "shards" / "sample", "validation")
    drawings = split.read_rows(np.arange(len(split)))
    step, variables, _ = load_network(run)
    logits = np.asarray(step(jax.device_put(variables), render(drawings, run.config.render_config())))
    assert stored["temperature"] == pytest.approx(fit_temperature(logits, drawings.word), rel=1e-3)  # other batches
    assert stored["drawings"] == len(split) == 52
    for name, temperature in (("nll_before", 1.0), ("nll_after", stored["temperature"])):
        assert stored[name] == pytest.approx(negative_log_likelihood(logits, drawings.word, temperature), rel=1e-4)
    assert stored["nll_after"] < stored["nll_before"]
    said = (calibrated / "said.txt").read_text().splitlines()
    assert said[1].startswith(f"{RUN}/{CALIBRATION}: temperature {stored['temperature']:.4f} of 52 validation drawings")
    assert said[2] == f"temperature {stored['temperature']:.4f} ({RUN}/{CALIBRATION})"


def test_probabilities_change_and_scores_of_one_look_do_not(calibrated: Path, tmp_path_factory) -> None:
    after = json.loads((calibrated / "evaluated.json").read_text())
    before = json.loads(in_process("evaluate", "--json", cwd=trained(tmp_path_factory)).stdout)
    assert {name: after[name] for name in SCORES} == {name: before[name] for name in SCORES}
    assert (before["temperature"], after["temperature"]) == (1.0, load_temperature(open_run(calibrated / RUN)))
    assert before["ece"] != after["ece"]
    assert before["interval"] == after["interval"]
    assert 0 < after["interval"][0] < after["top1"] < after["interval"][1] < 1
    plain, warm = Predictor(open_run(trained(tmp_path_factory) / RUN)), Predictor(open_run(calibrated / RUN))
    split = open_split(calibrated / "shards" / "sample", "test")
    images = plain.images(split.read_rows(np.arange(20)))
    first, second = plain.probabilities(images), warm.probabilities(images)
    expected = first ** (1 / warm.temperature)
    np.testing.assert_allclose(second, expected / expected.sum(axis=1, keepdims=True), rtol=1e-3, atol=1e-6)
    assert first.argmax(axis=1).tolist() == second.argmax(axis=1).tolist()


def test_predict_says_that_a_temperature_is_in_use(calibrated: Path) -> None:
    ran = in_process("predict", "--random", "--seed", "1", "--image", "drawn.png", cwd=calibrated)
    assert ran.returncode == 0, ran.stderr
    assert f"({RUN}/{CALIBRATION})" in ran.stderr


def test_every_flipped_bit_is_noticed(run: Path) -> None:
    path = run / CALIBRATION
    sound = path.read_bytes()
    for place in range(len(sound)):
        flipped = bytearray(sound)
        flipped[place] ^= 1 << place % 7
        path.write_bytes(flipped)
        with pytest.raises(CheckpointError, match=r"calibration\.json: damaged"):
            load_temperature(open_run(run))
    for content in (b"", b"[]", b"{}", b"null", b"\xff"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError):
            load_temperature(open_run(run))


def test_a_damaged_temperature_is_said_with_its_remedy_which_works(run: Path, tmp_path: Path) -> None:
    sound = (run / CALIBRATION).read_bytes()
    (run / CALIBRATION).write_bytes(sound.replace(b'"temperature": ', b'"temperature": 1'))
    for command in ("evaluate", "predict --random"):
        ran = in_process(*command.split(), cwd=tmp_path)
        assert (ran.returncode, ran.stdout) == (4, "")
        assert f"{CALIBRATION}: damaged; fit it anew with `sketchpipe evaluate --calibrate`" in ran.stderr
    assert in_process("evaluate", "--calibrate", cwd=tmp_path).returncode == 0
    assert (run / CALIBRATION).read_bytes() == sound


@pytest.mark.usefixtures("run")
def test_a_newer_format_is_a_mismatch(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "FORMAT_VERSION", 2)
        assert in_process("evaluate", "--calibrate", cwd=tmp_path).returncode == 0
    ran = in_process("evaluate", cwd=tmp_path)
    assert ran.returncode == 5
    assert "format 2, but this version reads 1; fit it anew" in ran.stderr


def test_a_temperature_of_another_checkpoint_is_left_aside_and_said(run: Path, tmp_path: Path) -> None:
    best = open_run(run).checkpoint(best=True)
    assert best is not None
    state, position = load_checkpoint(best)
    open_run(run).save({**state, "step": state["step"] + 1}, replace(position, epoch=9), best=True)
    assert load_temperature(open_run(run)) == 1.0
    assert read_calibration(open_run(run)) is not None
    ran = in_process("evaluate", "--json", cwd=tmp_path)
    assert json.loads(ran.stdout)["temperature"] == 1.0
    assert f"{CALIBRATION}: belongs to another checkpoint ({best.name}) and is left aside" in ran.stderr


def test_a_run_that_cannot_be_written_is_said(run: Path, tmp_path: Path) -> None:
    (run / CALIBRATION).unlink()
    (run / CALIBRATION).mkdir()
    ran = in_process("evaluate", "--calibrate", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (6, "")
    assert f"{CALIBRATION}: cannot be written" in ran.stderr
