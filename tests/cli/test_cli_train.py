import dataclasses
import json
import os
import re
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import jax
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict
from safetensors.numpy import load_file

from model.compute.kernels import kernels_to_resume, record_of
from model.compute.steps import TrainState
from model.kernels.choice import LAX, OWN, kernels_here
from model.runs.opening import open_run
from model.runs.state import load_checkpoint
from tests.small import SMALL, beside_shards, change_card, command, in_process, sample_shards, sketchpipe, trained

RUN = "runs/001-sketch-classifier"
TRAIN = ("train", "--shards", "shards/sample", *SMALL)


@pytest.fixture
def work(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `shards/sample` and no run."""
    return beside_shards(tmp_path, tmp_path_factory)


@pytest.fixture
def done(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `shards/sample` and a finished run of two epochs."""
    return Path(shutil.copytree(trained(tmp_path_factory), tmp_path / "done"))


def unfinish(run: Path) -> None:
    """Make a finished run one that was stopped before it said so."""
    change_card(run, finished=False)


def final_arrays(run: Path) -> bytes:
    assert open_run(run).card.finished
    last = open_run(run).checkpoint(best=False)
    assert last is not None
    return (last / "arrays.safetensors").read_bytes()


def stopped_by(number: int, after: str, *arguments: str, cwd: Path) -> tuple[int, list[str]]:
    """Start the command, send it a signal at the line that begins with `after`; its exit code and later lines."""
    with subprocess.Popen(command(*arguments), cwd=cwd, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if line.startswith(after):
                break
        running.send_signal(number)
        lines = running.stderr.read().splitlines()
    return running.returncode, lines


def test_a_run_stopped_by_signals_goes_on_to_the_very_parameters_of_one_never_stopped(work: Path) -> None:
    arguments = (*TRAIN, "--batch", "16", "--epochs", "5")  # 30 steps an epoch
    whole = in_process(*arguments, "--run", "runs/whole", cwd=work)
    assert whole.returncode == 0, whole.stderr
    for number, after in ((signal.SIGINT, "epoch 1/5"), (signal.SIGTERM, "epoch 3/5")):
        code, lines = stopped_by(number, after, *arguments, cwd=work)
        assert code == 128 + number
        said = f"sketchpipe: stopped by {number.name}; resume {RUN} with the same command"
        assert lines[-1] == said
        assert "Traceback" not in "".join(lines)
        assert open_run(work / RUN).checkpoint(best=False) is not None
    ran = in_process(*arguments, cwd=work)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.startswith(f"resuming {RUN} on ")
    assert final_arrays(work / RUN) == final_arrays(work / "runs" / "whole")
    assert [entry.name for entry in (work / "runs").iterdir() if entry.name != "whole"] == ["001-sketch-classifier"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_first_step_loses_no_run(work: Path, number: signal.Signals) -> None:
    code, lines = stopped_by(number, "compiling", *TRAIN, "--epochs", "1", cwd=work)
    assert code == 128 + number
    assert "Traceback" not in "".join(lines)
    assert not open_run(work / RUN).card.finished
    ran = in_process("train", "--resume", cwd=work)
    assert ran.returncode == 0, ran.stderr
    assert open_run(work / RUN).card.finished


def test_a_new_run_says_what_it_trains_and_writes_what_it_saw(work: Path) -> None:
    ran = sketchpipe(*TRAIN, "--epochs", "1", cwd=work)
    assert (ran.returncode, ran.stdout) == (0, "")
    lines = ran.stderr.splitlines()
    assert lines[0].startswith(f"training {RUN} on ")
    assert lines[0].endswith("492 drawings of 10 classes (synthetic sample), 1 epoch, batch 64")
    assert re.match(r"epoch 1/1: loss \d\.\d{3}, accuracy [\d.]+%, validation top-1 [\d.]+%, top-3", lines[-2])
    assert lines[-1] == f"{RUN}: done; next: sketchpipe evaluate, sketchpipe predict --random"
    assert sorted(entry.name for entry in (work / RUN).iterdir()) == [
        "checkpoints", "config.json", "lock", "metrics.jsonl", "run.json", "train", "validation",
    ]  # fmt: skip


def test_a_finished_run_has_nothing_to_do_and_the_same_command_starts_another(done: Path) -> None:
    ran = in_process(*TRAIN, "--epochs", "2", "--run", RUN, cwd=done)
    assert (ran.returncode, ran.stderr) == (
        0,
        f"{RUN}: nothing to do, 2 epochs done; train it for more epochs with `sketchpipe train --resume --run {RUN} "
        f"--epochs 4`, or start a new run from its weights with --start {RUN}\n",
    )
    ran = in_process(*TRAIN, "--epochs", "2", cwd=done)
    assert ran.stderr.startswith("training runs/002-sketch-classifier on ")
    assert final_arrays(done / "runs" / "002-sketch-classifier") == final_arrays(done / RUN)


def test_the_newest_unfinished_run_of_the_same_configuration_goes_on(done: Path) -> None:
    unfinish(done / RUN)
    shutil.copytree(done / RUN, done / "runs" / "002-sketch-classifier")
    ran = in_process(*TRAIN, "--epochs", "2", cwd=done)
    assert ran.stderr.startswith("resuming runs/002-sketch-classifier on ")
    ran = in_process(*TRAIN, "--epochs", "1", cwd=done)
    assert ran.stderr.startswith("training runs/003-sketch-classifier on ")
    ran = in_process("train", "--resume", cwd=done)
    assert ran.stderr.startswith(f"resuming {RUN} on ")
    assert open_run(done / RUN).card.finished


def test_resume_without_anything_to_resume_is_an_error(work: Path, done: Path) -> None:
    for folder in (work, done):
        ran = in_process("train", "--resume", cwd=folder)
        assert (ran.returncode, ran.stderr.count("\n")) == (3, 1)
        assert "no unfinished run to resume" in ran.stderr
        ran = in_process(*TRAIN, "--resume", cwd=folder)
        assert ran.returncode == 3
        assert "no unfinished run of this configuration" in ran.stderr
    assert in_process("train", "--resume", "--run", "runs/none", cwd=work).returncode == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--epochs", "3"), "epochs 2 in the run, 3 here"),
        (("--epochs", "2", "--seed", "1"), "seed 0 in the run, 1 here"),
        (("--epochs", "2", "--lr", "0.5"), "lr 0.001 in the run, 0.5 here"),
        (("--epochs", "2", "--network", "sketchnet"), "network sketch-classifier in the run, sketchnet here"),
        (("--epochs", "2", "--encoding", "order"), "encoding palette in the run, order here"),
        (("--epochs", "2", "--framing", "centred"), "framing corner in the run, centred here"),
        (("--epochs", "2", "--augment", "shift=1"), "augment off in the run, rotation=15"),
    ],
)
def test_a_run_of_another_configuration_is_refused(done: Path, arguments: tuple[str, ...], message: str) -> None:
    unfinish(done / RUN)
    for ran in (
        in_process(*TRAIN, *arguments, "--run", RUN, cwd=done),
        in_process("train", "--resume", "--run", RUN, *arguments, cwd=done),
    ):
        assert (ran.returncode, ran.stderr.count("\n")) == (5, 1)
        assert f"{RUN}: a run of another configuration (" in ran.stderr
        assert message in ran.stderr


def test_of_many_settings_that_differ_those_that_were_given_are_told(done: Path) -> None:
    arguments = ("train", "--shards", "shards/sample", "--epochs", "2", "--lr", "0.5", "--seed", "3", "--run", RUN)
    ran = in_process(*arguments, cwd=done)
    assert (ran.returncode, ran.stderr.count("\n")) == (5, 1)
    assert (
        f"{RUN}: a run of another configuration (lr 0.001 in the run, 0.5 here; seed 0 in the run, 3 here; "
        in ran.stderr
    )
    assert re.search(r"; and \d+ more\); choose another --run, or train it for more epochs with `", ran.stderr)
    assert f"--start {RUN}" in ran.stderr
    # A run that is named to be resumed on shards that are named keeps its own settings.
    unfinish(done / RUN)
    ran = in_process("train", "--resume", "--run", RUN, "--shards", "shards/sample", cwd=done)
    assert ran.returncode == 0, ran.stderr


def test_so_few_drawings_that_no_batch_fits_are_told(tmp_path: Path) -> None:
    for word in ("cat", "dog"):
        lines = [json.dumps({"word": word, "key_id": str(key), "drawing": [[[0, key], [0, 9]]]}) for key in range(1, 4)]
        (tmp_path / f"{word}.ndjson").write_text("\n".join(lines) + "\n")
    built = in_process("shards", "cat.ndjson", "dog.ndjson", "--splits", "1,0,0", "--to", "few", cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    ran = in_process("train", "--shards", "few", cwd=tmp_path)
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
    said = r"few: the training split \((\d) drawings\) is smaller than the batch chosen for it, 8, .*use --batch (\d)\n"
    found = re.search(said, ran.stderr)
    assert found, ran.stderr
    assert found[1] == found[2]


def test_a_run_on_other_shards_or_classes_is_refused(done: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    unfinish(done / RUN)
    other = sample_shards(tmp_path_factory, "no-validation", splits="0.9,0,0.1")
    some = sample_shards(tmp_path_factory, "some-classes", classes=["cat", "fish", "tree"])
    settings = ("--epochs", "2", *SMALL, "--run", RUN)
    ran = in_process("train", "--shards", str(other), *settings, cwd=done)
    assert (ran.returncode, "other shards than shards/sample" in ran.stderr) == (5, True)
    ran = in_process("train", "--shards", str(some), *settings, cwd=done)
    assert (ran.returncode, "classes ('apple', " in ran.stderr) == (5, True)
    change_card(done / RUN, shards_path="/gone")
    shutil.rmtree(done / "shards" / "sample")
    shutil.copytree(other, done / "shards" / "sample")
    ran = in_process("train", "--resume", "--run", RUN, cwd=done)
    assert (ran.returncode, f"not the shards that {RUN} was trained on" in ran.stderr) == (5, True)
    change_card(done / RUN, shards="shards/gone")
    ran = in_process("train", "--resume", "--run", RUN, cwd=done)
    assert (ran.returncode, "are missing; name others by --shards" in ran.stderr) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "--shards", "none"], 3, "none: no such folder"),
        ([*TRAIN, "--batch", "500"], 2, "batch 500: larger than the training split (492 drawings)"),
        ([*TRAIN, "--batch", "0"], 2, "batch must be at least 1, found 0"),
        ([*TRAIN, "--epochs", "0"], 2, "epochs must be at least 1, found 0"),
        ([*TRAIN, "--lr", "nan"], 2, "--lr nan: expected a finite number"),
        ([*TRAIN, "--seed", "-1"], 2, "seed must lie in"),
        ([*TRAIN, "--network", "sketchnets"], 2, "did you mean 'sketchnet'"),
        ([*TRAIN, "--encoding", "grey"], 2, "'--encoding': 'grey' is not one of 'palette', 'order', 'gray'"),
        ([*TRAIN, "--framing", "left"], 2, "'--framing': 'left' is not one of 'corner', 'centred'"),
        ([*TRAIN, "--augment", "rotate=3"], 2, "did you mean 'rotation'"),
        ([*TRAIN, "--device", "tpu"], 2, "'--device': 'tpu' is not one of 'auto', 'cpu', 'gpu'"),
        ([*TRAIN, "--run", "shards"], 6, "shards: exists but is not a run; choose another --run"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line_and_leaves_no_run(
    work: Path, arguments: list[str], code: int, message: str
) -> None:
    ran = in_process(*arguments, cwd=work)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert message in ran.stderr.splitlines()[-1]
    assert not (work / "runs").exists()


def test_without_shards_it_takes_the_only_ones_or_says_which_there_are(work: Path) -> None:
    ran = in_process("train", "--batch", "500", cwd=work)
    assert (ran.returncode, ran.stderr.splitlines()[0]) == (2, "shards: shards/sample")
    assert "larger than the training split (492 drawings)" in ran.stderr
    (work / "shards" / "other").symlink_to((work / "shards" / "sample").resolve())
    ran = in_process("train", cwd=work)
    assert (ran.returncode, "name shards/other or shards/sample" in ran.stderr) == (2, True)
    (work / "shards" / "other").unlink()
    (work / "shards" / "sample").unlink()
    ran = in_process("train", cwd=work)
    assert (ran.returncode, "make some with `sketchpipe shards`" in ran.stderr) == (2, True)
    assert not (work / "runs").exists()


def test_a_run_that_diverges_says_the_step_and_the_remedy_and_keeps_its_last_good_state(done: Path) -> None:
    run = open_run(done / RUN)
    unfinish(done / RUN)
    last = run.checkpoint(best=False)
    assert last is not None
    state, position = load_checkpoint(last)
    optimizer = unflatten_dict(load_file(last / "arrays.safetensors"), sep="/")["opt_state"]
    shutil.rmtree(last.parent)
    last.parent.mkdir()
    last = last.with_name("00001-0000000")
    grown = jax.tree.map(lambda leaf: leaf * np.float32(1e20), state["params"])  # too large for the next step
    tree = TrainState(state["step"], grown, state["batch_stats"], optimizer)
    run.save(tree, dataclasses.replace(position, epoch=1), best=True)
    before = (last / "arrays.safetensors").read_bytes()
    ran = in_process("train", "--resume", "--run", RUN, cwd=done)
    assert (ran.returncode, ran.stderr.count("Traceback")) == (2, 0)
    assert re.fullmatch(
        rf"sketchpipe: {RUN}: the loss is (nan|inf) in step \d of epoch 2; its last good checkpoint is "
        rf"{RUN}/checkpoints/00001-0000000; train another run with an --lr below 0\.001",
        ran.stderr.splitlines()[-1],
    )
    assert (last / "arrays.safetensors").read_bytes() == before
    load_checkpoint(last)


def test_a_disk_that_fills_up_is_said_and_the_run_goes_on_when_there_is_room(work: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))  # an array file has 176 kB
    try:
        ran = in_process(*TRAIN, "--epochs", "1", cwd=work)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert ran.returncode == 6
    assert re.search(r"the checkpoint cannot be written \(.*\); make room", ran.stderr.splitlines()[-1])
    assert "Traceback" not in ran.stderr
    assert in_process("train", "--resume", cwd=work).returncode == 0
    assert open_run(work / RUN).card.finished


@pytest.mark.parametrize("recorded", [None, LAX, "own 0, vectors of 4", "lax; own 0, vectors of 4"])
def test_a_run_that_goes_on_with_other_kernels_says_so_once_and_records_it(done: Path, recorded: str | None) -> None:
    run = done / RUN
    versions = open_run(run).card.versions
    assert versions.pop("kernels") == kernels_here()
    change_card(run, finished=False, versions=versions if recorded is None else {**versions, "kernels": recorded})
    changes = recorded not in (None, LAX)
    told = f"{RUN} was trained with kernels that are not used here (own 0, vectors of 4); it resumes with others "
    for is_told in (changes, False):
        ran = in_process("train", "--resume", cwd=done)
        assert ran.returncode == 0, ran.stderr
        assert (told in ran.stderr) == is_told
        expected = record_of(recorded, kernels_here()) if changes else recorded
        assert open_run(run).card.versions.get("kernels") == expected
        unfinish(run)


def test_the_record_of_kernels_names_each_once_and_the_last_ones_last() -> None:
    assert record_of(None, LAX) is None
    assert record_of(None, OWN) == f"lax; {OWN}"
    assert record_of(f"lax; {OWN}", OWN) == f"lax; {OWN}"
    assert record_of(f"lax; {OWN}", LAX) == f"{OWN}; lax"
    assert kernels_to_resume(f"lax; {OWN}", OWN) == OWN
    assert kernels_to_resume(f"{OWN}; lax", OWN) == LAX


def test_a_run_that_another_process_trains_is_left_alone(done: Path) -> None:
    unfinish(done / RUN)
    with open_run(done / RUN).locked():
        ran = in_process("train", "--resume", cwd=done)
    assert ran.returncode == 7
    assert f"{RUN}: process {os.getpid()} is training it" in ran.stderr


def test_a_damaged_checkpoint_stops_a_run_from_going_on(done: Path) -> None:
    unfinish(done / RUN)
    for arrays in (done / RUN).glob("checkpoints/*/arrays.safetensors"):
        arrays.write_bytes(arrays.read_bytes()[:-1])
    ran = in_process("train", "--resume", cwd=done)
    assert ran.returncode == 4
    assert "arrays.safetensors: damaged" in ran.stderr


def test_a_split_smaller_than_a_recipes_batch_gets_a_smaller_one(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shards = sample_shards(tmp_path_factory, "some-classes", classes=["cat", "fish", "tree"])
    ran = in_process("train", "--shards", str(shards), "--epochs", "1", "--network", "sketch-classifier", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "1 epoch, batch 16" in ran.stderr
