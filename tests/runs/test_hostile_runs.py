"""Runs that prove themselves: their checksums were made to fit. Whoever reads them gets a run or one line, at once."""

import contextlib
import hashlib
import json
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load, save

from model.networks import array_shapes, make_config, make_network
from model.runs.calibration import CALIBRATION, Calibration, write_calibration
from model.runs.card import CARD, CONFIG
from model.runs.checkpoint import ARRAYS, POSITION, load_position, save_checkpoint
from model.runs.folder import METRICS, Run
from model.runs.opening import open_run
from model.runs.overview import summarize
from model.runs.sealed_folder import MANIFEST
from model.runs.state import load_checkpoint, pack_state
from model.runs.tables import runs_table
from model.scoring.evaluate import evaluate_run
from model.scoring.loaded import load_best
from model.scoring.predict import Predictor
from model.specs import NETWORKS
from model.training.tensorboard.events import read_events
from pipeline.errors import CheckpointError, InputError, MismatchError, OutputError
from pipeline.storage.sealed import CHECKSUM, seal
from tests.mutations import mutated, sealed
from tests.runs.fresh_runs import fresh_run
from tests.runs.small_runs import AT, config_of, state_of
from tests.shards.builds import build, records, write

pytestmark = pytest.mark.long

TRIALS = 200


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = fresh_run(tmp_path_factory.mktemp("hostile") / "run", "sketch-classifier")
    last = last_of(run)
    write_calibration(run.folder, Calibration(1.5, last.name, "a" * 64, "b" * 64, 100, 0.5, 0.4, 0.1, 0.05))
    run.log({"epoch": 0, "seconds": 3.5, "validation_top1": 0.5, "skipped": {"a": 3}})
    return run.folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def last_of(run: Run) -> Path:
    last = run.last_checkpoint()
    assert last is not None
    return last


def fit(folder: Path) -> None:
    """Let every hash of a run be that of what is there now."""
    for last in (folder / "checkpoints").iterdir():
        shutil.copy(folder / CONFIG, last / CONFIG)
        hashes = {name: hashlib.sha256((last / name).read_bytes()).hexdigest() for name in (ARRAYS, POSITION, CONFIG)}
        (last / MANIFEST).write_text(seal(hashes))
    card = json.loads((folder / CARD).read_text())
    del card[CHECKSUM]
    (folder / CARD).write_text(
        seal({**card, "config_sha256": hashlib.sha256((folder / CONFIG).read_bytes()).hexdigest()})
    )


def refusals(folder: Path) -> list[str]:
    """What readers of a run say against it; any error but a SketchpipeError is raised."""
    said = []
    summary = summarize(folder)
    runs_table([summary])
    json.dumps(summary.as_dict()).encode()
    try:
        run = open_run(folder)
        with contextlib.suppress(InputError):
            run.shards_folder()
        run.without_unbegun()
        load_best(run)
    except (InputError, CheckpointError, MismatchError) as error:
        said.append(str(error))
    assert all(len(one) < 600 for one in said)
    return said


def test_a_whole_run_is_refused_by_nobody(folder: Path) -> None:
    fit(folder)
    assert refusals(folder) == []


@pytest.mark.parametrize("name", [CARD, CONFIG, POSITION, MANIFEST, CALIBRATION, METRICS])
def test_a_run_of_any_content_ends_no_reader_but_with_a_line(folder: Path, name: str) -> None:
    path = last_of(open_run(folder)) / name if name in (POSITION, MANIFEST) else folder / name
    whole = {one: one.read_bytes() for one in (*folder.glob("*.json*"), *folder.glob("checkpoints/*/*.json"))}
    refused = 0
    changes = list(mutated(whole[path].decode()))
    for place in np.random.default_rng(0).permutation(len(changes))[:TRIALS].tolist():
        change, text = changes[place]
        path.write_bytes((text if name in (CONFIG, POSITION, METRICS) else sealed(text)).encode(errors="replace"))
        if name in (CONFIG, POSITION):
            fit(folder)
        said = refusals(folder)
        refused += bool(said)
        assert all(str(folder) in one or "network" in one for one in said), change
        for one, content in whole.items():
            one.write_bytes(content)
    assert refused > 0 or name == METRICS


def with_best(folder: Path, best: object) -> Path:
    last = last_of(open_run(folder))
    position = json.loads((last / POSITION).read_text())
    (last / POSITION).write_text(json.dumps({**position, "best": best}))
    fit(folder)
    return last


@pytest.mark.parametrize(
    "best", ["/etc", "..", "../../other/checkpoints/00001-0000000", ".", "", "1-2", "\u0661" * 5 + "-" + "\u0660" * 7]
)
def test_the_best_checkpoint_is_one_of_the_run_and_nothing_else_is_advised_to_be_removed(
    folder: Path, best: str
) -> None:
    shutil.copytree(folder, folder.with_name("other"))
    last = with_best(folder, best)
    with pytest.raises(CheckpointError, match=r"position\.json: damaged \(best: expected") as error:
        load_best(open_run(folder))
    assert f"remove {last} to" in str(error.value)


def headers(content: bytes, dice: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """The content of `arrays.safetensors` with other headers."""
    (length,) = struct.unpack("<Q", content[:8])
    header, arrays = json.loads(content[8 : 8 + length]), content[8 + length :]
    for length_said in (0, 1, length - 1, length + 1, 10**8, 2**40, 2**63, 2**64 - 1):
        yield f"length {length_said}", struct.pack("<Q", length_said) + content[8:]
    for change, text in mutated(json.dumps({name: header[name] for name in list(header)[:2]} | header)):
        if dice.random() < 0.03 or change.endswith("instead"):
            said = text.encode(errors="replace")
            yield change, struct.pack("<Q", len(said)) + said + arrays
    one = next(name for name in header if name.startswith("params/"))
    kinds = ("F64", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F4", "C64", "X", "f32")
    offsets = ([0, 0], [0, 2**63], [-4, 0], [10, 4], [0, len(arrays)], [0, len(arrays) + 4], [0.5, 1], [0], [])
    shapes = ([], [1], [0], [2**62, 4], [2**32, 2**32], [0, 2**63], [-1], [10**30], "x", [[1]])
    for field, found in (("dtype", kinds), ("data_offsets", offsets), ("shape", shapes)):
        for value in found:
            said = json.dumps({**header, one: {**header[one], field: value}}).encode()
            yield f"{field} {value}", struct.pack("<Q", len(said)) + said + arrays
    yield "an array too few", save({name: array for name, array in load(content).items() if name != one})
    yield "an array too many", save({**load(content), "params/more": np.zeros(1, np.float32)})
    yield "a layer that is an array", save({**load(content), "params/conv1": np.zeros(1, np.float32)})
    yield "an array of another name", save({name.replace("conv1", "conv3"): one for name, one in load(content).items()})
    for _ in range(TRIALS):
        flipped = bytearray(content[: 8 + length])
        flipped[int(dice.integers(len(flipped)))] ^= 1 << int(dice.integers(8))
        yield "a flipped bit", bytes(flipped) + arrays


def test_arrays_of_any_header_end_no_reader_but_with_a_line(folder: Path) -> None:
    path = last_of(open_run(folder)) / ARRAYS
    whole = path.read_bytes()
    refused = 0
    for change, content in headers(whole, np.random.default_rng(0)):
        path.write_bytes(content)
        fit(folder)
        said = refusals(folder)
        refused += bool(said)
        assert said or load(content).keys() == load(whole).keys() or change in ("a flipped bit", "step"), change
    assert refused > TRIALS / 2


def test_a_header_that_means_harm_is_searched_at_once(folder: Path) -> None:
    path = last_of(open_run(folder)) / ARRAYS
    for header in (
        b'{"params/a":{"shape":[' + b"1" * 100_000 + b"}",
        b'{"params/a":{"shape":[' + b"9999999999999999999," * 500_000 + b"1]}}",
    ):
        path.write_bytes(struct.pack("<Q", len(header)) + header)
        assert summarize(folder).parameters is None


def put_arrays(folder: Path, **changes: Any) -> Path:
    path = last_of(open_run(folder)) / ARRAYS
    path.write_bytes(save({**load(path.read_bytes()), **changes}))
    fit(folder)
    return path.parent


@pytest.mark.parametrize(
    "array",
    [np.zeros(5), np.zeros(5, np.float16), np.zeros(6, np.float32), np.zeros((1, 5), np.float32), np.float32(0)],
)
def test_arrays_that_do_not_fit_the_network_are_refused_before_it_computes(folder: Path, array: Any) -> None:
    put_arrays(folder, **{"params/dense/bias": np.asarray(array)})
    with pytest.raises(
        MismatchError, match=r"params/dense/bias: .* in the file, float32 5 expected\); use the version"
    ):
        load_best(open_run(folder))


@pytest.mark.parametrize("size", [64, 32])
@pytest.mark.parametrize("encoding", ["order", "gray"])
@pytest.mark.parametrize("network", NETWORKS)
def test_the_shapes_on_file_are_those_of_the_networks(network: str, encoding: str, size: int) -> None:
    if size != 64 and network != "sketch-classifier":
        pytest.skip("all networks take the same way for images of another size")
    config = make_config(network, ("a", "b", "c"), drawings=1000, encoding=encoding, image_size=size)
    images = jax.ShapeDtypeStruct((1, size, size, config.render_config().channels), np.uint8)
    made = jax.eval_shape(lambda x: make_network(network, 3).init(jax.random.key(0), x, train=False), images)
    leaves = {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in jax.tree.leaves_with_path(made)
    }
    assert array_shapes(config) == {name: leaf.shape for name, leaf in leaves.items()}
    assert {leaf.dtype for leaf in leaves.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_training_is_not_resumed_from_weights_that_are_not_finite(tmp_path: Path, value: float) -> None:
    state = state_of()
    spoilt = state.replace(params=jax.tree.map(lambda one: np.full_like(one, value), state.params))
    save_checkpoint(tmp_path / "00001-0000004", pack_state(spoilt), AT, config_of())
    with pytest.raises(CheckpointError, match=r"params/.* is not finite; remove .*00001-0000004 to resume"):
        load_checkpoint(tmp_path / "00001-0000004", like=state)


NAMES = (
    CARD,
    CONFIG,
    CALIBRATION,
    METRICS,
    *(f"checkpoints/00001-0000000/{name}" for name in (ARRAYS, POSITION, CONFIG, MANIFEST)),
)


@pytest.mark.parametrize("kind", ["link", "pipe", "endless"])
@pytest.mark.parametrize("name", NAMES)
def test_links_pipes_and_devices_in_a_run_are_refused_at_once(folder: Path, name: str, kind: str) -> None:
    path = folder / name
    path.rename(folder.with_name("kept"))
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(folder.with_name("kept") if kind == "link" else "/dev/zero")
    said = refusals(folder)
    summary = summarize(folder)
    if name == METRICS:
        assert "metrics.jsonl" in summary.note
    else:
        assert said, summary
        assert "is a link" in said[0] if kind != "pipe" else "is a pipe" in said[0]


@pytest.mark.parametrize("name", ["checkpoints", "checkpoints/00001-0000000"])
def test_nothing_is_read_written_or_removed_through_a_link_in_a_run(folder: Path, name: str) -> None:
    outside = folder.with_name("outside")
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)
    before = sorted(outside.rglob("*"))
    run = open_run(folder)
    assert "is a link where a folder belongs" in refusals(folder)[0]
    with (
        pytest.raises(
            OutputError,
            match=f"{name}: is a link, not a file; nothing is written in a run that holds",
        ),
        run.locked(),
    ):
        pass
    assert sorted(outside.rglob("*")) == before


def test_the_folder_of_a_run_may_itself_be_a_link(folder: Path) -> None:
    link = folder.with_name("link")
    link.symlink_to(folder)
    assert refusals(link) == []
    run = open_run(link)
    with run.locked():
        run.log({"epoch": 1})
    assert load_position(last_of(run)).epoch == 1


def test_events_that_are_a_pipe_or_a_link_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "events.out.tfevents.000001")
    with pytest.raises(OSError, match="is a pipe"):
        read_events(tmp_path, 10)
    (tmp_path / "events.out.tfevents.000001").unlink()
    (tmp_path / "events.out.tfevents.000001").symlink_to("/dev/zero")
    assert read_events(tmp_path, 10) == []


@pytest.mark.parametrize("changes", [{"epoch": 5}, {"step": 3}, {"epoch": 0, "step": 0}])
def test_a_position_of_another_checkpoint_is_refused(folder: Path, changes: dict[str, int]) -> None:
    path = last_of(open_run(folder)) / POSITION
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    fit(folder)
    for reads in (load_best, lambda run: run.checkpoint(best=True)):
        with pytest.raises(CheckpointError, match=r"position\.json: damaged \(it is of checkpoint 0000"):
            reads(open_run(folder))


def test_finite_weights_that_give_no_finite_probabilities_give_no_answer(folder: Path, tmp_path: Path) -> None:
    put_arrays(folder, **{"params/dense/kernel": np.full((1352, 5), 1e38, np.float32)})
    predictor = Predictor(load_best(open_run(folder)))
    for ask in (predictor.logits, predictor.probabilities):
        with pytest.raises(CheckpointError, match="the network computes values that are not finite; train a new run"):
            ask(np.full((2, 64, 64, 3), 255, np.uint8))
    write(tmp_path / "in", ant=records("ant", range(40)))
    build(tmp_path / "in", tmp_path / "shards", splits="0.5,0,0.5")
    with pytest.raises(CheckpointError, match="values that are not finite"):
        evaluate_run(load_best(open_run(folder)), tmp_path / "shards", "test")


def test_a_negative_variance_gives_no_answer(tmp_path: Path) -> None:
    run = fresh_run(tmp_path / "run", "sketchnet")
    arrays = load((last_of(run) / ARRAYS).read_bytes())
    name = next(one for one in arrays if one.endswith("/var"))
    put_arrays(run.folder, **{name: -1 - arrays[name]})
    with pytest.raises(CheckpointError, match="values that are not finite"):
        Predictor(load_best(open_run(run.folder))).probabilities(np.full((1, 64, 64, 3), 255, np.uint8))
