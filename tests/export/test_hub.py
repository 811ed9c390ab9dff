"""A run as a folder for the Hugging Face Hub: what is in it."""

import contextlib
import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load_file

from model.export.export import export_run
from model.export.hub import hub_files, write_hub_folder
from model.export.page import export_page
from model.export.sample_drawings import sample_drawings
from model.runs.calibration import Calibration, write_calibration
from model.runs.checkpoint import digest_of
from model.runs.folder import Run
from model.runs.opening import open_run
from model.runs.overview import summarize
from model.scoring.loaded import load_best, rounded
from model.scoring.predict import Predictor
from pipeline.rendering.render import RenderConfig, render
from pipeline.shards.read import open_split
from tests.runs.fresh_runs import CLASSES, fresh_run
from tests.small import in_process, trained

FILES = ["README.md", "card.json", "config.json", "manifest.json", "model.safetensors", "onnx/model.onnx"]


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return fresh_run(tmp_path / "001-mine", "sketch-classifier", image_size=32)


@pytest.fixture
def files(run: Run) -> dict[str, bytes]:
    return hub_files(load_best(run), None, None)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def head_of(readme: str) -> Any:
    """The head of a model card, as the Hub reads it."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    return yaml.safe_load(readme.split("---\n")[1])


def test_the_command_writes_a_folder_whose_files_others_can_read(work: Path, tmp_path: Path) -> None:
    to = tmp_path / "new" / "hub"
    ran = in_process("export", "--to", f"{to}/", cwd=work)
    assert ran.returncode == 0, ran.stderr
    assert sorted(contents(to)) == FILES
    assert [path.name for path in to.parent.iterdir()] == ["hub"]
    held, checked = ran.stdout.splitlines()
    assert re.fullmatch(rf"{re.escape(str(to))}: [\d.]+ [kM]B, sketch-classifier for 10 classes", held)
    assert checked.startswith(
        "onnx/model.onnx: checked by onnxruntime on 600 synthetic drawings of shards/sample (test "
    )
    assert ran.stderr.splitlines()[-1] == f"to upload it to the Hugging Face Hub: hf upload USER/NAME {to} ."

    run = open_run(work / "runs" / "001-sketch-classifier")
    config = json.loads((to / "config.json").read_text())
    assert list(config["id2label"].values()) == list(run.config.classes)
    assert config["label2id"] == {word: label for label, word in enumerate(run.config.classes)}
    assert RenderConfig(**config["render"]) == run.config.render_config()
    assert {one.dtype for one in load_file(to / "model.safetensors").values()} == {np.dtype(np.float16)}

    images = render(sample_drawings(50), run.config.render_config())
    session = onnxruntime.InferenceSession(to / "onnx" / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"images": images})
    own = Predictor(load_best(open_run(to))).probabilities(images)
    np.testing.assert_allclose(found, own, atol=1e-4)
    whole = Predictor(load_best(run)).probabilities(images)
    np.testing.assert_allclose(own, whole, atol=0.01)  # half precision
    assert np.abs(own - whole).max() > 0

    card = json.loads((to / "card.json").read_text())
    assert card["training"]["drawings"] == len(open_split(work / "shards" / "sample", "train"))
    assert card["training"]["epochs"] == 2
    assert summarize(to).best == (card["training"]["validation_top1"], 2)


def test_the_same_run_gives_the_same_folder_which_replaces_an_earlier_one(work: Path, tmp_path: Path) -> None:
    assert in_process("export", "--to", str(tmp_path / "hub"), cwd=work).returncode == 0
    before = contents(tmp_path / "hub")
    ran = in_process("export", "--to", str(tmp_path / "hub"), "--json", cwd=work)
    assert ran.returncode == 0, ran.stderr
    assert contents(tmp_path / "hub") == before
    told = json.loads(ran.stdout)
    assert told["files"] == {name: len(content) for name, content in before.items() if name != "manifest.json"}
    assert told["largest_difference"] < 1e-4
    again = in_process("export", "--run", str(tmp_path / "hub"), "--to", str(tmp_path / "copy"), cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    copied = contents(tmp_path / "copy")
    assert copied["model.safetensors"] == before["model.safetensors"]
    assert copied["card.json"] == before["card.json"]


def test_the_network_that_comes_with_sketchpipe_is_written_with_its_scores(tmp_path: Path) -> None:
    loaded = load_best(open_run(Path(__file__).parents[2] / "model" / "pretrained" / "sketchnet-345"))
    write_hub_folder(tmp_path / "hub", hub_files(loaded, None, None))
    copied = load_best(open_run(tmp_path / "hub"))
    jax.tree.map(np.testing.assert_array_equal, copied.variables, loaded.variables)
    assert copied.temperature == loaded.temperature
    readme = (tmp_path / "hub" / "README.md").read_text()
    assert "| top-1 | 76.3 % |" in readme
    assert "raccoon 26.8 %" in readme
    assert "onnx/model.onnx" not in readme
    head = head_of(readme)
    assert (head["license"], head["datasets"], head["pipeline_tag"]) == (
        "cc-by-4.0",
        ["google/quickdraw"],
        "image-classification",
    )
    (result,) = head["model-index"][0]["results"]
    assert result["dataset"]["split"] == "test"
    assert result["metrics"] == [{"type": "accuracy", "name": "top-1", "value": 0.7631}]


def test_the_examples_of_the_model_card_run_in_the_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_best(run)
    exported = export_run(rounded(loaded), render(sample_drawings(10), run.config.render_config()))
    write_hub_folder(tmp_path / "hub", hub_files(loaded, exported.content, None))
    monkeypatch.chdir(tmp_path / "hub")
    examples = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(), re.DOTALL)
    printed = []
    for example in examples:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(example, "README.md", "exec"), {})
        printed.append(out.getvalue().rsplit(maxsplit=1))
    assert len(printed) == 2
    assert printed[0][0] == printed[1][0]
    assert float(printed[0][1]) == pytest.approx(float(printed[1][1]), abs=1e-4)


def test_a_temperature_comes_along_and_none_is_said_to_be_none(run: Run, files: dict[str, bytes]) -> None:
    assert b"No temperature was fitted" in files["README.md"]
    best = run.checkpoint(best=True)
    assert best is not None
    write_calibration(run.folder, Calibration(2.5, best.name, digest_of(best), "abc", 100, 1.5, 1.25, 0.25, 0.125))
    fitted = hub_files(load_best(run), None, None)
    assert b"the temperature 2.5, which was fitted on 100 drawings" in fitted["README.md"]
    assert json.loads(fitted["config.json"])["temperature"] == 2.5
    for folder, contents, temperature in ("plain", files, 1.0), ("fitted", fitted, 2.5):
        write_hub_folder(run.folder.with_name(folder), contents)
        assert load_best(open_run(run.folder.with_name(folder))).temperature == temperature


def test_a_folder_whose_run_had_lost_its_shards_makes_a_page(files: dict[str, bytes], tmp_path: Path) -> None:
    write_hub_folder(tmp_path / "hub", files)
    page = export_page(load_best(open_run(tmp_path / "hub")), None)
    assert b"sketch-classifier" in page.content


def test_words_and_names_of_any_kind_stay_texts(tmp_path: Path) -> None:
    words = ("a|b", "*c*", "<b>d</b>", "e\n---\nf", '"g": - #', "{{ h }}", "猫")
    made = fresh_run(tmp_path / "run", "sketch-classifier", words, image_size=32)
    moved = open_run(made.folder.rename(tmp_path / os.fsdecode(b"r: '\n\xff")))
    to = tmp_path / "to [x] 'y'"
    write_hub_folder(to, hub_files(load_best(moved), None, None))
    assert open_run(to).config.classes == words
    readme = (to / "README.md").read_text()
    assert head_of(readme)["model-index"][0]["name"] == "r: '\n\\xff"
    assert "license" not in head_of(readme)
    assert readme.rstrip().endswith(r'a\|b, \*c\*, \<b\>d\</b\>, e\\n---\\nf, "g": - \#, \{\{ h \}\}, 猫.')


def test_without_the_extra_the_folder_has_no_onnx_model_and_a_line_says_so(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    ran = in_process("export", "--to", str(tmp_path / "hub"), cwd=work)
    assert ran.returncode == 0, ran.stderr
    assert (
        "onnx/model.onnx is left out, because it needs onnxruntime: in sketchpipe's folder, pip install" in ran.stderr
    )
    assert sorted(contents(tmp_path / "hub")) == FILES[:-1]


def test_every_class_is_named_in_the_model_card(files: dict[str, bytes]) -> None:
    readme = files["README.md"].decode()
    assert readme.rstrip().endswith(", ".join(CLASSES) + ".")
    assert "**The drawings are synthetic**" in readme
