"""What `import pipeline` and `import model` offer to programs."""

import dataclasses
import importlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import typing
import venv
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import model
import pipeline
from pipeline.errors import InputError, UsageError
from pipeline.loading.loader import LoaderConfig, LoaderSettings
from pipeline.rendering.render import RenderConfig, RenderSettings
from pipeline.shards.library import BuildSettings
from pipeline.shards.options import BuildOptions
from tests.shards.builds import build, files_of, record, records, write
from tests.small import sample_shards, sample_sketches, trained

ROOT = Path(__file__).parents[1]
TYPED = """
import model
import pipeline

reveal_type(pipeline.read_drawings("cat.ndjson"))
reveal_type(pipeline.render(pipeline.read_drawings("cat.ndjson"), size=32))
reveal_type(pipeline.Loader("shards/sample", batch=32))
for batch in pipeline.Loader("shards/sample", batch=32):
    reveal_type(batch.epoch)
reveal_type(pipeline.open_split("shards/sample", "train")[7])
reveal_type(pipeline.build_shards("sketches", "shards"))
reveal_type(model.load_run().predict)
pipeline.Loader("shards/sample", batch="32")
pipeline.render(pipeline.read_drawings("cat.ndjson"), sise=32)
pipeline.Lodaer
model.load_ran
"""


def modules_after(statement: str) -> set[str]:
    program = f"{statement}; import sys; print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("package", ["pipeline", "model"])
def test_importing_a_package_imports_no_library(package: str) -> None:
    found = modules_after(f"import {package}") - modules_after("pass")
    assert found == {package}


def test_opening_a_run_is_what_imports_jax() -> None:
    assert "jax" not in modules_after(
        "import model, pipeline; pipeline.Loader, pipeline.read_drawings, pipeline.render"
    )
    assert "jax" in modules_after("import model; model.load_run")


@pytest.mark.parametrize("package", [pipeline, model])
def test_every_public_name_is_there_and_listed(package: ModuleType) -> None:
    assert set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        found = getattr(package, name)
        assert found is getattr(importlib.import_module(found.__module__), name)
    with pytest.raises(AttributeError, match="has no attribute 'Lodaer'"):
        _ = package.Lodaer


def test_the_public_names_are_these() -> None:
    wanted = {"read_drawings", "render", "Loader", "build_shards", "open_split", "Drawings", "SketchpipeError"}
    assert set(pipeline.__all__) == {*wanted, "Augmentation", "RenderConfig", "from_strokes"}
    assert model.__all__ == ["load_run"]


@pytest.mark.parametrize(
    ("keywords", "config", "left_out"),
    [
        (RenderSettings, RenderConfig, set()),
        (LoaderSettings, LoaderConfig, set()),
        (BuildSettings, BuildOptions, {"classes"}),
    ],
)
def test_the_keywords_are_the_attributes_of_the_configuration(keywords: type, config: type, left_out: set[str]) -> None:
    types = typing.get_type_hints(config)
    assert typing.get_type_hints(keywords) == {name: types[name] for name in types if name not in left_out}


@pytest.mark.long
def test_mypy_sees_the_types_from_outside(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "pipeline", tmp_path / "installed" / "pipeline")
    shutil.copytree(ROOT / "model", tmp_path / "installed" / "model")
    venv.create(tmp_path / "environment", with_pip=False, symlinks=True)
    (packages,) = (tmp_path / "environment").glob("lib/python*/site-packages")
    packages.joinpath("here.pth").write_text(f"{tmp_path / 'installed'}\n{sysconfig.get_paths()['purelib']}\n")
    (tmp_path / "outside.py").write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", "cache"]
    done = subprocess.run(
        [*command, "--python-executable", "environment/bin/python", "outside.py"], cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.endswith("PATH") or name == "PATH"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    *said, last = done.stdout.splitlines()
    said = [line.partition(": ")[2] for line in said if "Revealed" in line or "error" in line]
    is_old = np.lib.NumpyVersion(np.__version__) < "2.2.0"
    shape = f"numpy.ndarray[{'Any' if is_old else 'tuple[Any, ...]'}, numpy.dtype["
    expected = [
        'note: Revealed type is "pipeline.drawings.Drawings"',
        f'note: Revealed type is "{shape}numpy.unsignedinteger',
        'note: Revealed type is "pipeline.loading.loader.Loader"',
        'note: Revealed type is "int"',
        'note: Revealed type is "pipeline.drawings.Drawing"',
        'note: Revealed type is "pipeline.shards.manifest.Manifest"',
        'note: Revealed type is "def (drawings: pipeline.drawings.Drawings',
        'error: Argument "batch" to "Loader" has incompatible type "str"; expected "int"',
        'error: Unexpected keyword argument "sise" for "render"',
        'error: Module has no attribute "Lodaer"',
        'error: Module has no attribute "load_ran"',
    ]
    assert [line.startswith(start) for line, start in zip(said, expected, strict=True)] == [True] * len(expected), said
    assert last.startswith("Found 4 errors in 1 file")


def test_rendering_by_keywords_is_rendering_by_a_configuration(tmp_path: Path) -> None:
    drawings = pipeline.read_drawings(write(tmp_path, cat=records("cat", range(5))))
    config = RenderConfig(32, line_width=2.0, encoding="order", framing="centred")
    images = pipeline.render(drawings, size=32, line_width=2.0, encoding="order", framing="centred")
    np.testing.assert_array_equal(images, pipeline.render(drawings, config))
    np.testing.assert_array_equal(images, pipeline.render(drawings, RenderConfig(16, 2.0, "order", "centred"), size=32))
    assert pipeline.render(drawings).shape == (5, RenderConfig().size, RenderConfig().size, 3)
    with pytest.raises(UsageError, match="framing must be corner or centred"):
        pipeline.render(drawings, framing="left")


def test_shards_are_built_as_by_the_command_and_in_silence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    sketches = write(tmp_path / "sketches", cat=records("cat", range(90)), hot__dog=records("hot dog", range(90, 130)))
    build(sketches, tmp_path / "expected", classes=("cat",), seed=5, drawings_per_class=70)
    steps: list[str] = []

    def progress(step: str, _done: float, _total: float | None = None, /, *, unit: str = "", note: str = "") -> None:
        assert isinstance(unit + note, str)
        steps.append(step)

    for to in (tmp_path / "shards", str(tmp_path / "shards")):
        manifest = pipeline.build_shards(
            [sketches], to, classes=["cat"], seed=5, drawings_per_class=70, progress=progress
        )
        assert files_of(tmp_path / "shards") == files_of(tmp_path / "expected")
        assert manifest.classes == ("cat",)
    assert {"pass 1 of 2, reading", "pass 2 of 2, writing"} <= set(steps)
    rows = {split: manifest.rows(split) for split in ("train", "validation", "test")}
    assert sum(rows.values()) == 70
    assert repr(manifest) == f"Manifest(1 class; drawings: {', '.join(f'{name} {n}' for name, n in rows.items())})"
    assert capfd.readouterr() == ("", "")


def test_a_word_alone_is_one_class(tmp_path: Path) -> None:
    sketches = write(tmp_path / "sketches", hot__dog=records("hot dog", range(9)), cat=records("cat", range(9, 18)))
    assert pipeline.build_shards(str(sketches), tmp_path / "shards", classes="hot dog").classes == ("hot dog",)
    assert len(pipeline.read_drawings(str(sketches), classes="hot dog")) == 9


def test_build_shards_refuses_as_the_command_does(tmp_path: Path) -> None:
    sketches = write(tmp_path / "sketches", cat=record("cat", 1) + b"{}\n")
    with pytest.raises(InputError, match=r'sketches/cat.ndjson:2: "word" is missing'):
        pipeline.build_shards(sketches, tmp_path / "shards", strict=True)
    with pytest.raises(InputError, match="class \"cta\": no drawing of it in the sources; did you mean 'cat'"):
        pipeline.build_shards(sketches, tmp_path / "shards", classes=["cta"])
    assert pipeline.build_shards(sketches, tmp_path / "shards").rejects == {"field-missing": 1}


def test_a_split_gives_its_drawings_one_by_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = sample_shards(tmp_path_factory, "row-groups-of-3", row_group_rows=3, num_shards=3)
    split = pipeline.open_split(str(folder), "test")
    every = split.read_rows(np.arange(len(split)))
    assert list(split) == list(every) == [split[k] for k in range(len(split))]
    assert split[-1] == split[len(split) - 1] == every[np.int64(-1)]
    assert [one.strokes for one in split[3:9:2]] == [every.strokes(k) for k in (3, 5, 7)]
    assert len(split[5:5]) == 0
    for wrong in (len(split), -len(split) - 1):
        with pytest.raises(IndexError, match=f"drawing {wrong}: there are {len(split)} drawings"):
            _ = split[wrong]
    one, points = split[0], sum(len(x) for x, _ in split[0].strokes)
    assert repr(one) == f'Drawing("{one.word}", key_id={one.key_id}, {len(one.strokes)} strokes, {points} points)'
    assert repr(split) == f"ShardSplit({folder} test, {len(split)} drawings of 10 classes, 1 shard)"


def test_a_run_names_drawings_by_its_folder_or_as_the_newest(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained(tmp_path_factory))
    cats = pipeline.read_drawings(sample_sketches(tmp_path_factory) / "cat.ndjson")
    run = model.load_run("runs/001-sketch-classifier")
    probabilities = run.predict(cats)
    assert (probabilities.shape, probabilities.dtype) == ((60, 10), np.float32)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    for other in (model.load_run(), model.load_run(Path("runs")), model.load_run(Path.cwd() / "runs")):
        np.testing.assert_array_equal(other.predict(cats), probabilities)
    rounding = 1e-6 if version("jaxlib") == "0.10.0" else 0  # the oldest computes one drawing otherwise than many
    np.testing.assert_allclose(run.predict(cats[3:4])[0], probabilities[3], rtol=rounding)
    named = [run.classes[k] for k in probabilities.argmax(axis=1)]
    assert set(named) <= set(json.loads(Path("runs/001-sketch-classifier/config.json").read_text())["classes"])
    assert repr(run).startswith("Predictor(runs/001-sketch-classifier, sketch-classifier, 10 classes, checkpoint 0000")
    with pytest.raises(InputError, match="elsewhere: no such folder"):
        model.load_run("elsewhere")


def test_both_packages_say_that_they_are_typed() -> None:
    assert all((ROOT / package / "py.typed").read_bytes() == b"" for package in ("pipeline", "model"))


def test_a_configuration_may_be_changed_by_keywords(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = sample_shards(tmp_path_factory)
    loader = pipeline.Loader(folder, LoaderConfig(batch=32, seed=3), seed=4)
    assert loader.config == dataclasses.replace(LoaderConfig(), batch=32, seed=4)
    with pytest.raises(UsageError, match=r'split "test": the given shards are the train split of '):
        pipeline.Loader(loader.split, split="test")
    assert pipeline.Loader(loader.split, split="train").split is loader.split
