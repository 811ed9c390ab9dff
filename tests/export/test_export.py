import dataclasses
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from model.export import export
from model.export.card import metadata_of
from model.export.export import check_images, convert, export_run, largest_difference
from model.networks import parameter_table
from model.runs.calibration import Calibration, write_calibration
from model.runs.checkpoint import digest_of
from model.runs.folder import Run
from model.runs.opening import open_run
from model.scoring.loaded import load_best
from model.scoring.predict import Predictor
from model.specs import NETWORKS
from pipeline.arrays import UInt8Array
from pipeline.drawings import from_strokes
from pipeline.rendering.render import RenderConfig, render
from pipeline.shards.folder import build_folder
from pipeline.shards.manifest import ATTRIBUTION, SYNTHETIC, read_manifest
from pipeline.shards.options import BuildOptions
from pipeline.shards.read import open_split
from tests.runs.fresh_runs import CLASSES, fresh_run
from tests.small import change_card, in_process, sample_shards, sketchpipe, trained

RUN = "runs/001-sketch-classifier"
SETTINGS = [
    pytest.param("sketchnet", {}),
    pytest.param("sketchnet", {"image_size": 48, "encoding": "gray", "precision": "bfloat16"}),
    pytest.param("sketchnet-base", {"image_size": 16, "precision": "bfloat16"}, marks=pytest.mark.long),
    pytest.param("sketchnet-large", {"image_size": 16}, marks=pytest.mark.long),
    pytest.param("sketch-classifier", {}),
    pytest.param("sketch-classifier", {"image_size": 80, "encoding": "gray"}),
    pytest.param("quickdraw-classifier", {"image_size": 32}),
]


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory)


def random_images(run: Run, count: int, seed: int = 0) -> UInt8Array:
    """Images as sparse as drawings are."""
    config = run.config.render_config()
    shape = (count, config.size, config.size, config.channels)
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 256, shape) * (rng.random(shape) < 0.2)).astype(np.uint8)


def probabilities_of(content: bytes, images: UInt8Array) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"images": images})
    return np.asarray(found)


def test_every_network_is_among_those_that_are_tested() -> None:
    assert {setting.values[0] for setting in SETTINGS} == set(NETWORKS)


@pytest.mark.parametrize(("network", "changes"), SETTINGS)
def test_every_network_gives_the_runs_probabilities_for_any_number_of_images(
    tmp_path: Path, network: str, changes: dict[str, Any]
) -> None:
    run = fresh_run(tmp_path / "run", network, **changes)
    images = random_images(run, 256)
    exported = export_run(load_best(run), images)
    expected = Predictor(load_best(run)).probabilities(images)
    assert expected.max(axis=1).std() > 0.01  # images differ, or nothing is compared
    for count in (1, 2, 7, 256):
        found = probabilities_of(exported.content, images[:count])
        assert (found.shape, found.dtype) == ((count, len(CLASSES)), np.float32)
        np.testing.assert_allclose(found, expected[:count], atol=1e-4, rtol=0)
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert exported.difference < 1e-4
    parameters = sum(leaf.size for leaf in jax.tree.leaves(load_best(run).variables))
    assert 4 * parameters < len(exported.content) < 4 * parameters + 30_000


def test_layers_have_their_names_in_the_graph_and_weights_theirs(tmp_path: Path) -> None:
    run = fresh_run(tmp_path / "run", "sketchnet")
    model = onnx.load_from_string(convert(load_best(run)))
    layers = [row.layer for row in parameter_table("sketchnet", len(CLASSES))[0]]
    nodes = {node.name: node for node in model.graph.node}
    assert set(layers) < set(nodes)
    assert len(nodes) == len(model.graph.node)
    assert list(nodes["stage1_block1/norm2"].input)[1:] == [
        f"stage1_block1/norm2/{leaf}" for leaf in ("scale", "bias", "mean", "var")
    ]
    assert {node.op_type for node in nodes.values()} == {
        "Add", "BatchNormalization", "Cast", "Conv", "Div", "Gemm", "MaxPool", "ReduceSum", "Relu", "Softmax",
        "Transpose",
    }  # fmt: skip
    weights = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    assert all(name.rpartition("/")[0] in nodes for name in weights)
    stored = load_best(run).variables["params"]["stage2_block1"]["conv1"]["kernel"]
    np.testing.assert_array_equal(weights["stage2_block1/conv1/kernel"], stored.transpose(3, 2, 0, 1))


def test_the_file_is_of_an_opset_that_old_runtimes_read_and_its_shapes_are_right(tmp_path: Path) -> None:
    run = fresh_run(tmp_path / "run", "sketchnet")
    model = onnx.load_from_string(convert(load_best(run)))
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    shapes = {value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
              for value in (*model.graph.input, *model.graph.output, *model.graph.value_info)}  # fmt: skip
    assert shapes["images"] == ["N", 64, 64, 3]
    assert shapes["stage1_block1/conv1"] == ["N", 32, 16, 16]
    assert shapes["probabilities"] == ["N", len(CLASSES)]


def test_every_convolution_spells_out_its_kernel_and_its_padding(tmp_path: Path) -> None:
    model = onnx.load_from_string(convert(load_best(fresh_run(tmp_path / "run", "sketchnet"))))
    found = {node.name: {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
             for node in model.graph.node if node.op_type == "Conv"}  # fmt: skip
    assert all("auto_pad" not in attributes for attributes in found.values())
    assert (found["stem"]["kernel_shape"], found["stem"]["pads"]) == ([5, 5], [1, 1, 2, 2])
    one = found["stage1_block1/conv1"]
    assert (one["kernel_shape"], one["pads"]) == ([3, 3], [1, 1, 1, 1])
    one = found["stage1_block1/shortcut"]
    assert (one["kernel_shape"], one["pads"]) == ([1, 1], [0, 0, 0, 0])


@pytest.mark.parametrize("size", [64, 48])
def test_opencv_gives_the_runs_probabilities(tmp_path: Path, size: int) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    run = fresh_run(tmp_path / "run", "sketchnet", image_size=size)
    content, images = convert(load_best(run)), random_images(run, 8)
    expected = Predictor(load_best(run)).probabilities(images)
    for count in (1, 8):
        network = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))  # OpenCV 4 keeps the first batch's size
        network.setInput(images[:count])
        np.testing.assert_allclose(network.forward(), expected[:count], atol=1e-4, rtol=0)


def test_the_same_run_gives_the_same_bytes_and_another_others(tmp_path: Path) -> None:
    run = fresh_run(tmp_path / "run", "sketch-classifier")
    other = fresh_run(tmp_path / "other" / "run", "sketch-classifier", tuple(reversed(CLASSES)))
    first = convert(load_best(run))
    assert convert(load_best(run)) == first
    assert convert(load_best(other)) != first


def test_logits_are_divided_by_the_temperature_of_the_run(tmp_path: Path) -> None:
    run = fresh_run(tmp_path / "run", "sketch-classifier")
    images = random_images(run, 20)
    plain = Predictor(load_best(run)).probabilities(images)
    best = run.checkpoint(best=True)
    assert best is not None
    fitted = Calibration(2.5, best.name, digest_of(best), "abc", 100, 1.5, 1.25, 0.25, 0.125)
    write_calibration(run.folder, fitted)
    exported = export_run(load_best(run), images)
    loaded = load_best(run)
    expected = jax.nn.softmax(loaded.step(loaded.variables, images) / 2.5, axis=-1)
    found = probabilities_of(exported.content, images)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - plain).max() > 0.01
    assert exported.metadata["temperature"] == "2.5"


def test_differences_are_found_wherever_they_are(tmp_path: Path) -> None:
    run = fresh_run(tmp_path / "run", "sketch-classifier")
    content = convert(load_best(run))
    images = random_images(run, 300)
    expected = Predictor(load_best(run)).probabilities(images)
    assert largest_difference(content, images, expected) < 1e-5
    for row in (0, 2, 150, 299):
        wrong = expected.copy()
        wrong[row, 1] += 0.25
        assert largest_difference(content, images, wrong) == pytest.approx(0.25, abs=1e-5)
        wrong[row, 1] = np.nan
        assert np.isnan(largest_difference(content, images, wrong))
    assert largest_difference(content, images[:1], expected[:1]) < 1e-5
    assert largest_difference(content, images, expected[:, :-1]) == float("inf")


def test_whoever_has_only_the_file_can_use_it(tmp_path: Path) -> None:
    run = fresh_run(tmp_path / "001-mine", "sketchnet")
    content = convert(load_best(run))
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (images,), (probabilities,) = session.get_inputs(), session.get_outputs()
    assert (images.name, images.type, images.shape) == ("images", "tensor(uint8)", ["N", 64, 64, 3])
    assert (probabilities.name, probabilities.type) == ("probabilities", "tensor(float)")
    about = session.get_modelmeta().custom_metadata_map
    assert tuple(json.loads(about["classes"])) == CLASSES
    config = RenderConfig(int(about["image_size"]), float(about["line_width"]), about["encoding"], about["framing"])
    assert config == run.config.render_config()
    assert {name: about[name] for name in ("channels", "network", "run", "synthetic", "margin")} == {
        "channels": "3", "network": "sketchnet", "run": "001-mine", "synthetic": "true", "margin": "7.5",
    }  # fmt: skip
    assert about["attribution"] == SYNTHETIC
    assert about["sketchpipe"] == "0.1.0"
    model = onnx.load_from_string(content)
    assert "(N, 64, 64, 3) uint8" in model.graph.input[0].doc_string
    assert "(N, 5) float32" in model.graph.output[0].doc_string
    real = dataclasses.replace(run, card=dataclasses.replace(run.card, synthetic=False))
    assert metadata_of(load_best(real))["attribution"] == ATTRIBUTION


def test_the_drawing_rule_in_the_metadata_is_what_the_renderer_does(tmp_path: Path) -> None:
    run = fresh_run(tmp_path / "run", "sketchnet")
    about = metadata_of(load_best(run))
    for part in (
        "larger side is 241 long",
        "by a factor of 8 at most",
        "64 x 64 pixels",
        "1.25 pixels wide",
        "255 * (t + 2) / 4",
    ):
        assert part in about["drawing"]
    # Two strokes, left to right at the top and then downwards on the left: 100 and 200 long, the larger side 200.
    drawing = from_strokes([[[[0, 100], [0, 0]], [[0, 0], [0, 200]]]], ["ant"])
    image = render(drawing, run.config.render_config())[0].astype(int)
    scale, left, top = 241 / 200 / 4, (128 - 50 * 241 / 200) / 4, 7.5 / 4
    row, column = int(top), int(left + 50 * scale)
    strongest = row + image[row : row + 2, column, 0].argmax()
    # Red 255 fades at the line's edge, as do the others: what is told is their ratio.
    red, green, blue = image[strongest, column]
    assert green / red == pytest.approx(50 / 300, abs=0.01)
    assert blue / red == pytest.approx(2 / 4, abs=0.01)  # t = 0
    row, column = int(top + 100 * scale), int(left)
    strongest = column - 1 + image[row, column - 1 : column + 2, 0].argmax()
    red, green, blue = image[row, strongest]
    assert green / red == pytest.approx(200 / 300, abs=0.01)
    assert blue / red == pytest.approx(3 / 4, abs=0.01)  # t = 1
    gray = fresh_run(tmp_path / "gray", "sketch-classifier", encoding="gray", framing="corner")
    assert "margin" not in metadata_of(load_best(gray))
    assert "in the one channel" in metadata_of(load_best(gray))["drawing"]


def test_the_drawings_of_the_check_are_of_the_test_split_first(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, config = sample_shards(tmp_path_factory), RenderConfig(16)
    rows = {name: len(open_split(folder, name)) for name in ("train", "validation", "test")}
    images, counts = check_images(folder, config, 20)
    assert counts == {"test": 20}
    np.testing.assert_array_equal(images, render(open_split(folder, "test").read_row_group(0).slice(0, 20), config))
    assert check_images(folder, config, rows["test"] + 5)[1] == {"test": rows["test"], "validation": 5}
    images, counts = check_images(folder, config, 10_000)
    assert counts == rows
    assert len(images) == sum(rows.values())


def test_the_command_writes_what_it_proved_and_says_on_how_many(work: Path, tmp_path: Path) -> None:
    to = tmp_path / "new" / "model.onnx"
    ran = in_process("export", "--to", str(to), cwd=work)
    assert ran.returncode == 0, ran.stderr
    first, second = ran.stdout.splitlines()
    assert first == f"{to}: {to.stat().st_size / 1000:.1f} kB, sketch-classifier for 10 classes"
    rows = {name: len(open_split(work / "shards" / "sample", name)) for name in ("test", "validation", "train")}
    splits = ", ".join(f"{name} {count}" for name, count in rows.items())
    counted = f"{sum(rows.values())} synthetic drawings of shards/sample ({splits}), fewer than the usual 1,000"
    assert second.startswith(f"checked by onnxruntime on {counted}: largest difference ")
    assert float(second.rpartition(" ")[2]) < 1e-4
    assert ran.stderr.splitlines()[0].startswith(f"run: {RUN}, validation top-1 ")
    run = open_run(work / RUN)
    images, _ = check_images(work / "shards" / "sample", run.config.render_config())
    found = probabilities_of(to.read_bytes(), images)
    np.testing.assert_allclose(found, Predictor(load_best(run)).probabilities(images), atol=1e-4, rtol=0)

    described = json.loads(in_process("export", "--to", str(to), "--json", cwd=work).stdout)
    assert described["file"] == str(to)
    assert described["bytes"] == to.stat().st_size
    assert described["drawings"] == rows
    assert described["largest_difference"] < 1e-4
    assert json.loads(described["metadata"]["classes"]) == list(run.config.classes)
    assert list(to.parent.iterdir()) == [to]


def test_a_run_is_proved_on_a_thousand_real_drawings(quickdraw: Path, tmp_path: Path) -> None:
    sources = sorted(str(path) for path in (quickdraw / "parts").glob("*.ndjson.gz"))[:3]
    build_folder(sources, tmp_path / "shards", BuildOptions(splits="0.2,0.4,0.4"))
    classes = read_manifest(tmp_path / "shards").classes
    fresh_run(tmp_path / "run", "sketch-classifier", classes, image_size=32)
    ran = in_process("export", "--run", "run", "--shards", "shards", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    found = re.search(r"on 1,000 drawings of shards \(test (\d+), validation (\d+)\): .* (\S+)$", ran.stdout)
    assert found
    assert int(found[1]) + int(found[2]) == 1000
    assert 0 < float(found[3]) < 1e-4
    assert (tmp_path / "model.onnx").exists()


@pytest.mark.long
def test_another_process_writes_the_same_bytes(work: Path, tmp_path: Path) -> None:
    here = in_process("export", "--to", str(tmp_path / "here.onnx"), cwd=work)
    there = sketchpipe("export", "--to", str(tmp_path / "there.onnx"), cwd=work)
    assert (here.returncode, there.returncode) == (0, 0), there.stderr
    assert there.stderr.splitlines()[1:] == [f"converting {RUN}, and checking it on 600 synthetic drawings"]
    assert (tmp_path / "here.onnx").read_bytes() == (tmp_path / "there.onnx").read_bytes()


def test_a_file_that_differs_from_the_run_is_not_written(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"the one before")
    monkeypatch.setattr(export, "TOLERANCE", 1e-12)  # less than float32 can keep
    ran = in_process("export", "--to", str(tmp_path / "model.onnx"), cwd=work)
    assert (ran.returncode, ran.stdout) == (5, "")
    assert "No file was written" in ran.stderr.splitlines()[-1]
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the one before"]


def test_a_run_in_a_folder_whose_name_is_no_utf8_is_exported(tmp_path: Path) -> None:
    run = fresh_run(tmp_path / "run", "sketch-classifier")
    moved = open_run(run.folder.rename(tmp_path / os.fsdecode(b"b\xff")))
    exported = export_run(load_best(moved), random_images(run, 3))
    assert exported.metadata["run"] == r"b\xff"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--to", "model.pb"], 2, "--to model.pb: expected a file named .onnx or .html, or a folder, FOLDER/"),
        (["--to", "-"], 2, "--to -: expected a file named .onnx or .html, or a folder, FOLDER/"),
        (["--to", ""], 2, '--to "": an empty path'),
        (["--to", "s3://bucket/model.onnx"], 2, "--to s3://bucket/model.onnx: object stores"),
        (["--to", "shards/sample/manifest.json/model.onnx"], 6, "manifest.json is not a folder"),
        (
            ["--to", "/proc/new/model.onnx", "--run", "runs/none"],
            6,
            "cannot be written (no file can be created in /proc: ",
        ),
        (["--run", "runs/none"], 3, "runs/none: no run here"),
        (["--shards", "none"], 3, "none: no such folder"),
        (["--shards", "runs"], 3, "no shards here"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(work: Path, arguments: list[str], code: int, message: str) -> None:
    ran = in_process("export", *arguments, cwd=work)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert message in ran.stderr.splitlines()[-1]
    assert not (work / "model.onnx").exists()


def test_a_damaged_checkpoint_or_shards_that_are_gone_are_said_in_a_line(work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / RUN, tmp_path / "run")
    (arrays,) = (tmp_path / "run" / "checkpoints").glob("*/arrays.safetensors")
    arrays.write_bytes(arrays.read_bytes()[:-1])
    shards = ("--shards", str(work / "shards" / "sample"))
    ran = in_process("export", "--run", "run", *shards, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (4, "")
    change_card(tmp_path / "run", shards_path="/gone")
    ran = in_process("export", "--run", "run", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "name others by --shards" in ran.stderr


def test_a_missing_extra_is_said_with_its_remedy(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    ran = in_process("export", cwd=work)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "sketchpipe: export needs onnxruntime: in sketchpipe's folder, pip install -e '.[onnx]'\n"
