"""A network's weights without its training: what was written is read back, and damage is named."""

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
from model.networks import make_config, make_network
from model.runs.weights import CARD, MANIFEST, WEIGHTS, read_weights, write_weights
from model.training.optimizer import make_tx
from pipeline.errors import CheckpointError, OutputError
from pipeline.storage.sealed import seal
from tests.runs.small_runs import assert_same

CONFIG = make_config("sketch-classifier", ("ant", "bird", "cat"), drawings=10_000)
TOLD = {"trained_on": "doodles", "test": {"top1": 0.5}}


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
    found = read_weights(folder)
    assert (found.config, found.card) == (CONFIG, TOLD)
    rounded = jax.tree.map(lambda one: one.astype(np.float16).astype(np.float32), variables)
    assert_same(found.variables, {"params": rounded, "batch_stats": {}})
    assert {one.dtype for one in load_file(folder / WEIGHTS).values()} == {np.dtype(np.float16)}
    assert sorted(path.name for path in folder.parent.iterdir()) == ["small"]
    assert len(list(folder.iterdir())) == 4


def test_an_existing_folder_is_left_as_it_is(folder: Path, variables: dict[str, Any]) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(OutputError, match="choose a folder that does not exist"):
        write_weights(folder, CONFIG, {}, {"params": variables})
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
            read_weights(folder)
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
        read_weights(folder)


def test_arrays_of_another_network_are_refused_though_the_seal_is_right(folder: Path) -> None:
    arrays = load_file(folder / WEIGHTS)
    del arrays["params/dense/bias"]
    save_file(arrays, folder / WEIGHTS)
    hashes = json.loads((folder / MANIFEST).read_text())
    del hashes["checksum"]
    hashes[WEIGHTS] = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    (folder / MANIFEST).write_text(seal(hashes))
    with pytest.raises(CheckpointError, match="its arrays are not those of sketch-classifier"):
        read_weights(folder)
