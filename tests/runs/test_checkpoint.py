import dataclasses
import hashlib
import json
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from flax.traverse_util import unflatten_dict
from safetensors.numpy import load

from model.runs.checkpoint import ARRAYS, POSITION, Position, digest_of, save_checkpoint
from model.runs.find import find_runs, new_folder, newest_run
from model.runs.folder import Run
from model.runs.opening import open_run
from model.runs.state import load_checkpoint, pack_state
from model.training.choose import Plan, newest_unfinished, unfinished_run
from pipeline.errors import CheckpointError, InputError, MismatchError, OutputError
from pipeline.storage.sealed import seal
from tests.runs.fresh_runs import fresh_run
from tests.runs.small_runs import AT, FILES, assert_same, config_of, run_in, state_of


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "00001-0000004", pack_state(state_of()), AT, config_of())
    return tmp_path / "00001-0000004"


def test_a_checkpoint_gives_back_every_array_of_the_state_and_the_position(saved: Path) -> None:
    state, position = load_checkpoint(saved, like=state_of(seed=1))
    assert_same(state, state_of())
    assert position == AT


def test_without_a_state_to_compare_it_gives_the_arrays_as_nested_dictionaries(tmp_path: Path) -> None:
    last = fresh_run(tmp_path / "run", "sketchnet").last_checkpoint()
    assert last is not None
    found, _ = load_checkpoint(last)
    arrays = load((last / ARRAYS).read_bytes())
    nested = unflatten_dict(arrays, sep="/")
    assert_same(found["params"], nested["params"])
    assert_same(found["batch_stats"], nested["batch_stats"])


def test_without_a_state_to_compare_a_network_of_other_shapes_is_refused_too(saved: Path) -> None:
    with pytest.raises(MismatchError, match=r"batch_stats/.* in the file, .* expected.*use the version of sketchpipe"):
        load_checkpoint(saved)


def test_a_checkpoint_of_another_network_is_refused(saved: Path) -> None:
    with pytest.raises(MismatchError, match="do not fit this network"):
        load_checkpoint(saved, like=state_of(width=3))


def test_the_digest_is_that_of_the_arrays(saved: Path) -> None:
    assert digest_of(saved) == hashlib.sha256((saved / ARRAYS).read_bytes()).hexdigest()


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_noticed(saved: Path, name: str) -> None:
    content = (saved / name).read_bytes()
    noticed: list[str] = []
    for place in np.random.default_rng(0).integers(0, 8 * len(content), 20).tolist():
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        (saved / name).write_bytes(flipped)
        with pytest.raises(CheckpointError) as error:
            load_checkpoint(saved, like=state_of(seed=1))
        noticed.append(str(error.value))
    assert all(message.startswith(str(saved)) for message in noticed)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_file_cut_short_is_noticed(saved: Path, name: str, share: float) -> None:
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=f"{name}: damaged"):
        load_checkpoint(saved)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name}: missing"):
        load_checkpoint(saved)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return run_in(tmp_path / "runs" / "001-sketchnet")


def names_of(run: Run) -> list[str]:
    return sorted(entry.name for entry in (run.folder / "checkpoints").iterdir())


def test_the_last_and_the_best_checkpoint_are_kept_and_the_others_removed(run: Run) -> None:
    position = Position(0, 5, 1.0)
    kept = []
    for epoch, step, best in ((0, 5, False), (1, 0, True), (1, 3, False), (2, 0, False), (3, 0, True), (3, 2, False)):
        position = run.save(state_of(), dataclasses.replace(position, epoch=epoch, step=step), best=best)
        kept.append(names_of(run))
    assert kept == [
        ["00000-0000005"],
        ["00001-0000000"],
        ["00001-0000000", "00001-0000003"],
        ["00001-0000000", "00002-0000000"],
        ["00003-0000000"],
        ["00003-0000000", "00003-0000002"],
    ]
    assert run.checkpoint(best=True) == run.folder / "checkpoints" / "00003-0000000"
    assert run.checkpoint(best=False) == run.folder / "checkpoints" / "00003-0000002"


def test_before_the_first_validation_the_last_checkpoint_is_the_best(run: Run) -> None:
    assert run.checkpoint(best=True) is run.checkpoint(best=False) is None
    run.save(state_of(), Position(0, 5, 1.0), best=False)
    assert run.checkpoint(best=True) == run.checkpoint(best=False) == run.folder / "checkpoints" / "00000-0000005"


def test_what_a_killed_process_left_half_written_is_no_checkpoint_and_goes_with_the_next(run: Run) -> None:
    run.save(state_of(), Position(0, 5, 1.0), best=False)
    left = run.folder / "checkpoints" / ".00001-0000000.4711"
    left.mkdir()
    (left / ARRAYS).write_bytes(b"half")
    assert run.checkpoint(best=False) == run.folder / "checkpoints" / "00000-0000005"
    run.save(state_of(), Position(1, 0, 1.0), best=True)
    assert names_of(run) == ["00001-0000000"]


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """As on a disk that fills up: writing past `size` bytes is an OSError."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [100, 1000])
def test_a_full_disk_is_said_and_the_checkpoint_before_stands(run: Run, size: int) -> None:
    position = run.save(state_of(), Position(1, 0, 1.0), best=True)
    later = dataclasses.replace(position, epoch=2)
    with no_file_larger_than(size), pytest.raises(OutputError, match="00002-0000000: the checkpoint cannot be written"):
        run.save(state_of(seed=1), later, best=True)
    assert names_of(run) == ["00001-0000000"]
    last = run.checkpoint(best=True)
    assert last is not None
    assert_same(load_checkpoint(last, like=state_of())[0], state_of())
    run.save(state_of(seed=1), later, best=True)


def test_a_damaged_last_checkpoint_leaves_the_one_before_when_it_is_removed(run: Run) -> None:
    position = run.save(state_of(), Position(1, 0, 1.0), best=True)
    run.save(state_of(seed=1), dataclasses.replace(position, step=3), best=False)
    last = run.checkpoint(best=False)
    assert last is not None
    (last / POSITION).write_text("{}")
    with pytest.raises(CheckpointError, match=f"remove {last} to resume from the checkpoint before"):
        run.checkpoint(best=True)
    shutil.rmtree(last)
    assert run.checkpoint(best=True) == run.folder / "checkpoints" / "00001-0000000"


def test_a_run_is_opened_as_it_was_made(run: Run) -> None:
    assert open_run(run.folder) == run
    run.finish()
    assert open_run(run.folder).card.finished


@pytest.mark.parametrize("name", ["run.json", "config.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format_version": 4}', '{"format_version": 5}'])
def test_a_damaged_run_is_said(run: Run, name: str, text: str) -> None:
    (run.folder / name).write_text(text)
    with pytest.raises(CheckpointError, match=f"{name}: damaged"):
        open_run(run.folder)


def test_a_run_of_another_format_or_none_is_said(run: Run) -> None:
    with pytest.raises(InputError, match="no run here"):
        open_run(run.folder.parent)
    for text in (seal({"format_version": 6}), '{"format_version": 3}'):  # before 4 without a checksum
        (run.folder / "run.json").write_text(text)
        with pytest.raises(MismatchError, match=r"run format [36], this version reads 4 and 5; train a new run"):
            open_run(run.folder)


def test_runs_are_numbered_and_the_newest_with_a_checkpoint_is_found(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert new_folder("net", runs) == runs / "001-net"
    with pytest.raises(InputError, match="no trained run here"):
        newest_run(runs)
    for number in (2, 9, 10, 1000):
        run = run_in(runs / f"{number:03d}-net")
        if number < 1000:
            run.save(state_of(), Position(1, 0, 1.0), best=True)
        else:
            run.save(state_of(), Position(0, 0, 0.0), best=False)  # its first step is still to come
    (runs / "005-no-run").mkdir()
    assert [folder.name for folder in find_runs(runs, numbered=True)] == ["002-net", "009-net", "010-net", "1000-net"]
    assert newest_run(runs).folder == runs / "010-net"
    assert new_folder("net", runs) == runs / "1001-net"


def test_a_damaged_run_is_in_the_way_only_where_it_is_the_newest(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for number in (1, 2):
        run_in(runs / f"{number:03d}-net").save(state_of(), Position(1, 0, 1.0), best=True)
    for number, name in ((1, "002-net"), (2, None)):
        (runs / f"{number:03d}-net" / "run.json").write_text("{")
        if name is not None:
            assert newest_run(runs).folder == runs / name
    with pytest.raises(CheckpointError, match=r"002-net/run\.json: damaged"):
        newest_run(runs)


def test_the_unfinished_run_to_go_on_with_is_the_newest_that_has_a_checkpoint(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    old, new = (run_in(runs / f"{number:03d}-net") for number in (1, 2))
    assert newest_unfinished(runs) == new
    old.save(state_of(), Position(1, 0, 1.0), best=True)
    assert newest_unfinished(runs) == old
    new.save(state_of(), Position(1, 0, 1.0), best=True)
    assert newest_unfinished(runs) == new
    new.note_divergence("the loss is nan")
    assert newest_unfinished(runs) == old


def test_checkpoints_follow_one_another_by_number(run: Run) -> None:
    position = run.save(state_of(), Position(99_999, 0, 1.0), best=True)
    run.save(state_of(), dataclasses.replace(position, epoch=100_000), best=False)
    last = run.last_checkpoint()
    assert last is not None
    assert last.name == "100000-0000000"


def test_an_unfinished_run_goes_on_only_with_its_own_configuration_and_shards(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    old, new = run_in(runs / "001-net"), run_in(runs / "002-net")
    assert unfinished_run(Plan(new.config, new.card), runs) == new
    new.finish()
    assert unfinished_run(Plan(old.config, old.card), runs) == old
    assert unfinished_run(Plan(dataclasses.replace(old.config, lr=0.1), old.card), runs) is None
    assert unfinished_run(Plan(old.config, dataclasses.replace(old.card, shards_checksum="other")), runs) is None
    old.finish()
    assert unfinished_run(Plan(old.config, old.card), runs) is None


def test_metrics_of_an_epoch_replace_those_from_before_a_crash(run: Run) -> None:
    for epoch, loss in ((0, 3.0), (1, 2.0), (1, 1.5), (2, 1.0)):
        run.log({"epoch": epoch, "train_loss": loss})
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["train_loss"] for line in lines] == [3.0, 1.5, 1.0]


def test_runs_of_another_format_are_passed_over_where_there_are_others(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    old, new = (run_in(runs / f"{number:03d}-net") for number in (1, 2))
    for run in (new, old):
        run.save(state_of(), Position(1, 0, 0.0), best=True)
    (old.folder / "run.json").write_text('{"format_version": 3}')
    assert newest_run(runs).folder == new.folder
    newest = newest_unfinished(runs)
    assert newest is not None
    assert newest.folder == new.folder
    new.finish()
    assert newest_unfinished(runs) is None
    shutil.rmtree(new.folder)
    with pytest.raises(MismatchError, match="this version reads 4"):
        newest_run(runs)
