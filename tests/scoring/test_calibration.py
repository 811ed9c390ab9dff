import json
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from model.runs import calibration
from model.runs.calibration import CALIBRATION, read_calibration
from model.runs.opening import open_run
from model.runs.state import load_checkpoint
from model.scoring.calibrate import FEWEST_DRAWINGS, calibrate_run
from model.scoring.loaded import load_best
from model.scoring.predict import Predictor
from model.scoring.reliability import fit_temperature, negative_log_likelihood
from pipeline.errors import CheckpointError, InputError
from pipeline.rendering.render import render
from pipeline.shards.read import open_split
from tests.small import SMALL, change_card, in_process, sample_shards, trained

RUN = "runs/001-sketch-classifier"
SCORES = ("top1", "top3", "map3", "balanced_top1", "classes")


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and its temperature; nobody writes into it."""
    folder = tmp_path_factory.mktemp("calibrated") / "work"
    shards = sample_shards(tmp_path_factory, "large-validation", splits="0.6,0.25,0.15")
    shutil.copytree(shards, folder / "shards" / "sample")
    ran = in_process("train", "--shards", "shards/sample", *SMALL, "--epochs", "2", cwd=folder)
    assert ran.returncode == 0, ran.stderr
    (folder / "before.json").write_text(in_process("evaluate", "--json", cwd=folder).stdout)
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
    loaded = load_best(run)
    logits = np.asarray(loaded.step(jax.device_put(loaded.variables), render(drawings, run.config.render_config())))
    assert stored["temperature"] == pytest.approx(fit_temperature(logits, drawings.word), rel=1e-3)  # other batches
    assert stored["drawings"] == len(split) >= FEWEST_DRAWINGS
    for name, temperature in (("nll_before", 1.0), ("nll_after", stored["temperature"])):
        assert stored[name] == pytest.approx(negative_log_likelihood(logits, drawings.word, temperature), rel=1e-4)
    assert stored["nll_after"] < stored["nll_before"]
    said = (calibrated / "said.txt").read_text().splitlines()
    told = f"temperature {stored['temperature']:.4f}"
    assert said[1].startswith(
        f"{RUN}/{CALIBRATION}: {told}, fitted on {len(split)} validation drawings of shards/sample: NLL"
    )
    assert said[2] == f"{told} ({RUN}/{CALIBRATION})"


def test_probabilities_change_and_scores_of_one_look_do_not(calibrated: Path) -> None:
    after = json.loads((calibrated / "evaluated.json").read_text())
    before = json.loads((calibrated / "before.json").read_text())
    assert {name: after[name] for name in SCORES} == {name: before[name] for name in SCORES}
    assert (before["temperature"], after["temperature"]) == (1.0, load_best(open_run(calibrated / RUN)).temperature)
    assert before["ece"] != after["ece"]
    assert before["interval"] == after["interval"]
    assert 0 < after["interval"][0] < after["top1"] < after["interval"][1] < 1
    plain, warm = (Predictor(load_best(open_run(calibrated / RUN), calibrated=one)) for one in (False, True))
    split = open_split(calibrated / "shards" / "sample", "test")
    images = plain.images(split.read_rows(np.arange(20)))
    first, second = plain.probabilities(images), warm.probabilities(images)
    expected = first ** (1 / warm.loaded.temperature)
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
            read_calibration(run)
    for content in (b"", b"[]", b"{}", b"null", b"\xff"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError):
            read_calibration(run)


def test_a_damaged_temperature_is_said_with_its_remedy_which_works(run: Path, tmp_path: Path) -> None:
    sound = (run / CALIBRATION).read_bytes()
    (run / CALIBRATION).write_bytes(sound.replace(b'"temperature": ', b'"temperature": 1'))
    for command in ("evaluate", "predict --random"):
        ran = in_process(*command.split(), cwd=tmp_path)
        assert (ran.returncode, ran.stdout) == (4, "")
        why = "damaged (it does not match its checksum); fit it again with `sketchpipe evaluate --calibrate`"
        assert f"{CALIBRATION}: {why}" in ran.stderr
    assert in_process("evaluate", "--calibrate", cwd=tmp_path).returncode == 0
    assert (run / CALIBRATION).read_bytes() == sound


@pytest.mark.usefixtures("run")
def test_a_newer_format_is_a_mismatch(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "FORMAT_VERSION", 2)
        assert in_process("evaluate", "--calibrate", cwd=tmp_path).returncode == 0
    ran = in_process("evaluate", cwd=tmp_path)
    assert ran.returncode == 5
    assert "format 2, but this version reads 1; fit it again" in ran.stderr


def test_a_temperature_of_another_checkpoint_is_left_aside_and_said(run: Path, tmp_path: Path) -> None:
    best = open_run(run).checkpoint(best=True)
    assert best is not None
    state, position = load_checkpoint(best)
    open_run(run).save({**state, "step": state["step"] + 1}, replace(position, epoch=9), best=True)
    ran = in_process("evaluate", "--json", cwd=tmp_path)
    assert json.loads(ran.stdout)["temperature"] == 1.0
    assert f"{CALIBRATION}: was fitted for another checkpoint ({best.name}) and is not used" in ran.stderr


def test_a_run_that_cannot_be_written_is_said(run: Path, tmp_path: Path) -> None:
    (run / CALIBRATION).unlink()
    (run / CALIBRATION).mkdir()
    ran = in_process("evaluate", "--calibrate", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (6, "")
    assert f"{CALIBRATION}: cannot be written" in ran.stderr


def test_too_few_drawings_are_refused_and_what_was_stored_stands(tmp_path_factory: pytest.TempPathFactory) -> None:
    work = trained(tmp_path_factory)
    run = shutil.copytree(work / RUN, tmp_path_factory.mktemp("few") / "run")
    (run / CALIBRATION).write_text("the one before")
    ran = in_process("evaluate", "--calibrate", "--run", str(run), cwd=work)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "shards/sample: 52 validation drawings are too few to fit a temperature, which needs 100" in ran.stderr
    assert (run / CALIBRATION).read_text() == "the one before"


def test_drawings_that_tell_no_temperature_are_refused_and_what_was_stored_stands(run: Path, tmp_path: Path) -> None:
    before, loaded = (run / CALIBRATION).read_bytes(), load_best(open_run(run))
    upside_down = replace(loaded, step=lambda variables, images: -loaded.step(variables, images))
    with pytest.raises(
        InputError, match=r"determine no temperature between 0\.05 and 20 \(the predictions are near chance\)"
    ):
        calibrate_run(upside_down, tmp_path / "shards" / "sample")
    assert (run / CALIBRATION).read_bytes() == before


def test_a_temperature_is_fitted_on_the_shards_of_the_run_whatever_is_evaluated(
    run: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = str(sample_shards(tmp_path_factory, "small-splits", splits="0.1,0.1,0.8"))
    before = (run / CALIBRATION).read_bytes()
    (run / CALIBRATION).unlink()
    arguments = ("evaluate", "--calibrate", "--run", str(run), "--shards", other, "--split", "all")
    ran = in_process(*arguments, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "validation drawings of shards/sample: NLL" in ran.stderr
    assert (run / CALIBRATION).read_bytes() == before
    (tmp_path / "shards").unlink()
    change_card(run, shards_path="/gone")
    ran = in_process(*arguments, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "are missing, and a temperature is fitted only on their validation split; restore them" in ran.stderr
