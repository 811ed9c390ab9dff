"""A network's weights without its training: what was written is read back, and damage is named."""

import copy
import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from model.compute.steps import train_state_shapes
from model.networks import make_config, make_network, parameter_table
from model.runs.find import find_runs
from model.runs.opening import open_run
from model.runs.overview import summarize
from model.runs.sealed_folder import MANIFEST
from model.runs.weights import CARD, WEIGHTS, has_weights, read_config, read_weights, write_weights
from model.scoring.loaded import load_best
from model.scoring.predict import Predictor, sample_drawing
from model.training.choose import choose_run
from model.training.optimizer import make_tx
from pipeline.errors import CheckpointError, InputError, MismatchError, OutputError
from pipeline.storage.sealed import seal
from tests.runs.small_runs import assert_same

CONFIG = make_config("sketch-classifier", ("ant", "bird", "cat"), drawings=10_000)
TOLD = {
    "name": "small",
    "training": {
        "drawings": 800, "validation_drawings": 100, "splits": "0.8,0.1,0.1", "shards_checksum": "0" * 64,
        "synthetic": True, "validation_top1": 0.5, "epochs": 3, "minutes": 0.2, "machine": "2 cores",
        "versions": {"sketchpipe": "0.1.0"},
    },
    "calibration": {
        "temperature": 0.8, "shards_checksum": "0" * 64, "drawings": 100,
        "nll_before": 1.2, "nll_after": 1.1, "ece_before": 0.1, "ece_after": 0.02,
    },
}  # fmt: skip


@pytest.fixture
def variables() -> dict[str, Any]:
    network = make_network("sketch-classifier", 3)
    shapes = train_state_shapes(network, make_tx(CONFIG, steps_per_epoch=10), image_size=64)
    dice = np.random.default_rng(0)
    return jax.tree.map(lambda one: dice.normal(size=one.shape).astype(np.float32), dict(shapes.params))


@pytest.fixture
def folder(tmp_path: Path, variables: dict[str, Any]) -> Path:
    write_weights(tmp_path / "small", CONFIG, TOLD, {"params": variables, "batch_stats": {}})
    return tmp_path / "small"


def test_weights_come_back_in_half_precision_with_configuration_and_card(
    folder: Path, variables: dict[str, Any]
) -> None:
    assert read_config(folder) == (CONFIG, TOLD)
    found = read_weights(folder, CONFIG)
    rounded = jax.tree.map(lambda one: one.astype(np.float16).astype(np.float32), variables)
    assert_same(found.variables, {"params": rounded, "batch_stats": {}})
    assert {one.dtype for one in load_file(folder / WEIGHTS).values()} == {np.dtype(np.float16)}
    assert sorted(path.name for path in folder.parent.iterdir()) == ["small"]
    assert len(list(folder.iterdir())) == 4


def test_an_existing_folder_is_left_as_it_is(folder: Path, variables: dict[str, Any]) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(OutputError, match="choose a folder that does not"):
        write_weights(folder, CONFIG, TOLD, {"params": variables})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["small"]


def test_a_weight_too_large_for_half_precision_is_refused(tmp_path: Path, variables: dict[str, Any]) -> None:
    variables["conv1"]["kernel"][0] = 1e5
    with pytest.raises(CheckpointError, match="params/conv1/kernel: has a weight that is not finite in half precision"):
        write_weights(tmp_path / "small", CONFIG, TOLD, {"params": variables})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [WEIGHTS, CARD, MANIFEST, "config.json"])
def test_a_bit_flipped_in_a_file_is_noticed(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    for place in np.linspace(0, len(content) - 1, 40).astype(int):
        content[place] ^= 1
        (folder / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=r"replace .* by a copy that is whole"):
            read_weights(folder, read_config(folder)[0])
        content[place] ^= 1


@pytest.mark.parametrize("name", [WEIGHTS, CARD, MANIFEST, "config.json"])
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.unlink(), id="removed"),
        pytest.param(lambda path: path.write_bytes(b""), id="emptied"),
        pytest.param(lambda path: (path.rename(path.with_name("x")), path.symlink_to("x")), id="a link"),
        pytest.param(lambda path: (path.unlink(), path.mkdir()), id="a folder"),
        pytest.param(lambda path: path.write_bytes(b"[" * 100_000), id="nested"),
    ],
)
def test_a_file_that_is_none_is_named(folder: Path, name: str, spoil: Callable[[Path], Any]) -> None:
    spoil(folder / name)
    with pytest.raises(CheckpointError, match=name):
        load_best(open_run(folder))
    assert summarize(folder).state == ("weights" if name == WEIGHTS else "damaged")


def test_arrays_of_another_network_are_refused_though_the_seal_is_right(folder: Path) -> None:
    arrays = load_file(folder / WEIGHTS)
    del arrays["params/dense/bias"]
    save_file(arrays, folder / WEIGHTS)
    resealed(folder, WEIGHTS)
    with pytest.raises(CheckpointError, match="its arrays are not those of sketch-classifier"):
        read_weights(folder, CONFIG)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.pop("training"), "training is missing"),
        (lambda card: card["training"].update(epochs=-1), r"training\.epochs: expected a whole number from 0"),
        (lambda card: card["calibration"].update(temperature=-1), r"calibration\.temperature: expected"),
    ],
)
def test_a_card_without_what_is_needed_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    card = copy.deepcopy(TOLD)
    change(card)
    (folder / CARD).write_text(json.dumps(card))
    resealed(folder, CARD)
    with pytest.raises(CheckpointError, match=message):
        read_config(folder)


def resealed(folder: Path, name: str) -> None:
    """Make a manifest that fits a file that was changed."""
    hashes = json.loads((folder / MANIFEST).read_text())
    del hashes["checksum"]
    hashes[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / MANIFEST).write_text(seal(hashes))


def test_weights_predict_as_the_run_that_trained_them_with_their_temperature(
    folder: Path, variables: dict[str, Any]
) -> None:
    run = open_run(folder)
    assert (run.config, run.about) == (CONFIG, TOLD)
    loaded = load_best(run)
    assert (loaded.temperature, loaded.checkpoint) == (0.8, "00003-0000000")
    assert load_best(run, calibrated=False).temperature == 1
    images = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)
    rounded = {"params": jax.tree.map(lambda one: one.astype(np.float16).astype(np.float32), variables)}
    logits = make_network("sketch-classifier", 3).apply(rounded, images, train=False)
    np.testing.assert_allclose(Predictor(loaded).logits(images), logits, rtol=1e-4)


def test_weights_are_not_trained_further_and_have_no_shards(folder: Path) -> None:
    run = open_run(folder)
    with pytest.raises(InputError, match="has weights, but no shards; name some by --shards"):
        run.shards_folder()
    with pytest.raises(MismatchError, match="cannot be resumed; train a new run that starts from them with --start"):
        choose_run(None, folder, {"epochs": 9}, only_begun=True)
    with pytest.raises(MismatchError, match="cannot be resumed"), run.locked():
        pass
    assert len(list(folder.iterdir())) == 4


def test_weights_are_listed_with_what_their_card_says(folder: Path) -> None:
    found = summarize(folder)
    assert (found.state, found.note, found.epochs_done, found.best) == (
        "weights",
        "without their training",
        3,
        (0.5, 3),
    )
    assert found.parameters == parameter_table("sketch-classifier", 3)[1]
    assert find_runs(folder.parent) == [folder]
    (folder / CARD).write_text("{}")
    assert summarize(folder).state == "damaged"


def test_a_folder_with_weights_and_a_run_is_the_run_and_one_that_cannot_be_listed_is_neither(folder: Path) -> None:
    assert has_weights(folder)
    assert not has_weights(folder / WEIGHTS)
    assert not has_weights(folder / "none")
    (folder / "run.json").write_text("{}")
    assert not has_weights(folder)


def test_a_doodle_is_of_a_class_that_the_network_knows(folder: Path) -> None:
    run = open_run(folder)
    assert {sample_drawing(run, seed).words[0] for seed in range(9)} == {"cat"}
    run.config = dataclasses.replace(run.config, classes=("ant", "zebra"))
    with pytest.raises(InputError, match="the built-in sample has none of its classes; name shards by --shards"):
        sample_drawing(run, 0)


def test_weights_are_written_only_with_a_card_that_can_be_read(tmp_path: Path, variables: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="training is missing"):
        write_weights(tmp_path / "small", CONFIG, {}, {"params": variables})
    assert not list(tmp_path.iterdir())
