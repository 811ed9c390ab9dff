"""The pictures of `sketchpipe predict`: what they show, and that no file of the user's is ever written over."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.runs.opening import open_run
from model.scoring.loaded import load_best
from model.scoring.predict import Predictor
from pipeline.pictures.enlarged import PIXELS, beside_enlarged
from pipeline.pictures.replay import find_drawing
from tests.small import in_process, trained

RUN = "runs/001-sketch-classifier"
MINE = b"\x89PNG\r\n\x1a\nmine"


@pytest.fixture
def work(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with shards and a run that has been trained."""
    shutil.copytree(trained(tmp_path_factory), tmp_path, dirs_exist_ok=True)
    (tmp_path / "image.png").unlink(missing_ok=True)
    return tmp_path


def test_the_picture_has_the_pixels_that_the_network_sees_beside_the_drawing_at_256(work: Path) -> None:
    ran = in_process("predict", "--random", "--seed", "7", "--json", "--image", "seen.png", cwd=work)
    assert ran.returncode == 0
    drawing, _ = find_drawing(work / "shards" / "sample", json.loads(ran.stdout)["key_id"])
    seen = Predictor(load_best(open_run(work / RUN))).images(drawing)[0]
    with Image.open(work / "seen.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (PIXELS, PIXELS + 8 + 64, 3)
    np.testing.assert_array_equal(pixels[:64, PIXELS + 8 :], seen)
    assert (pixels[:, PIXELS : PIXELS + 8] == 64).all()
    blurred = np.asarray(Image.fromarray(pixels[:, :PIXELS]).resize((64, 64), Image.Resampling.BOX)).astype(int)
    assert np.abs(blurred - seen).mean() < 8  # the same drawing: antialiased at another size
    assert len(np.unique(pixels[:, :PIXELS].reshape(-1, 3), axis=0)) > 8
    config = open_run(work / RUN).config.render_config()
    large = np.zeros((PIXELS, PIXELS, 1), np.uint8)
    assert beside_enlarged(drawing, large, config) is large


@pytest.mark.parametrize("option", ["--image", "--plot"])
def test_a_file_that_predict_did_not_write_is_refused_by_name(work: Path, option: str) -> None:
    (work / "photo.png").write_bytes(MINE)
    ran = in_process("predict", "--random", option, "photo.png", cwd=work)
    assert (ran.returncode, ran.stdout) == (6, "")
    assert ran.stderr.splitlines()[-1] == (
        "sketchpipe: photo.png: already exists, and sketchpipe predict did not write it; name another file, or move it"
    )
    assert (work / "photo.png").read_bytes() == MINE


def test_a_picture_that_predict_wrote_and_an_empty_file_are_replaced(work: Path) -> None:
    for name in ("drawing.png", "chart.png"):
        (work / name).touch()
    contents = []
    for seed in ("1", "2", "3"):
        arguments = ["--seed", seed, "--image", "drawing.png", "--plot", "chart.png"]
        assert in_process("predict", "--random", *arguments, cwd=work).returncode == 0
        contents.append(((work / "drawing.png").read_bytes(), (work / "chart.png").read_bytes()))
    assert len({drawing for drawing, _ in contents}) > 1
    assert len({chart for _, chart in contents}) > 1


@pytest.mark.parametrize("make", [lambda path: path.write_bytes(MINE), Path.mkdir, lambda path: path.write_text("x")])
def test_without_image_a_file_of_the_users_stays_and_the_drawing_is_predicted(work: Path, make: object) -> None:
    make(work / "image.png")  # type: ignore[operator]
    before = (work / "image.png").stat()
    ran = in_process("predict", "--random", "--seed", "7", cwd=work)
    assert ran.returncode == 0
    assert 'predicted "' in ran.stdout
    (said,) = [line for line in ran.stderr.splitlines() if "image.png" in line]
    assert said.startswith("the drawing is not written: image.png: ")
    after = (work / "image.png").stat()
    assert (before.st_ino, before.st_size, before.st_mtime_ns) == (after.st_ino, after.st_size, after.st_mtime_ns)
    assert in_process("predict", "--random", "--image", "other.png", cwd=work).returncode == 0


def test_in_a_folder_that_cannot_be_written_the_drawing_is_predicted_all_the_same(work: Path) -> None:
    arguments = ["predict", "--random", "--run", str(work / RUN), "--shards", str(work / "shards" / "sample")]
    ran = in_process(*arguments, cwd=Path("/proc"))
    assert ran.returncode == 0
    assert 'predicted "' in ran.stdout
    assert "the drawing is not written: image.png: cannot be written" in ran.stderr
    assert in_process(*arguments, "--image", "image.png", cwd=Path("/proc")).returncode == 6


def test_drawings_of_files_are_written_only_where_asked_for(work: Path) -> None:
    house = {"word": "house", "drawing": [[[20, 128, 235], [120, 20, 120]]]}
    (work / "house.ndjson").write_text(json.dumps(house) + "\n")
    assert in_process("predict", "house.ndjson", cwd=work).returncode == 0
    assert not (work / "image.png").exists()
    assert in_process("predict", "house.ndjson", "--image", "image.png", cwd=work).returncode == 0
    assert (work / "image.png").exists()
