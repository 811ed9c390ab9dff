"""A disk that fills up or fails while a run is written: what stood before stands, and it goes on when there is room."""

import dataclasses
import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.runs.checkpoint import Position
from model.runs.folder import Run
from model.runs.opening import is_free, open_run
from model.runs.state import load_checkpoint
from pipeline.errors import OutputError
from tests.runs.small_runs import assert_same, run_in, state_of
from tests.shards.faults import CALLS, Faults
from tests.small import SMALL, command, in_process, sample_shards

AT = Position(1, 0, 1.0, 0.5, 0.5)
LATER = dataclasses.replace(AT, epoch=2, best="00001-0000000")


def save(run: Run) -> None:
    run.save(state_of(seed=1), LATER, best=True)


def log(run: Run) -> None:
    run.log({"epoch": 2, "train_loss": 1.0})


def hidden(folder: Path) -> list[str]:
    return [entry.name for entry in folder.rglob(".*")]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("work", [save, log, Run.finish])
def test_whatever_write_fails_the_last_good_state_stands_and_the_next_try_is_whole(
    tmp_path: Path, work: Callable[[Run], None], call: str, code: int
) -> None:
    fails = 0
    while True:
        run = run_in(tmp_path / str(fails))
        run.log({"epoch": 1, "train_loss": 2.0})
        run.save(state_of(), AT, best=True)
        with pytest.MonkeyPatch.context() as patch:
            faults = Faults(patch, call, fails, code)
            said = complaint_of(lambda run=run: work(run))  # type: ignore[misc]
        if said:
            assert os.strerror(code) in said
            assert "make room" in said
            assert said.startswith(str(run.folder))
            assert not hidden(run.folder)
        run = open_run(run.folder)
        assert [line["epoch"] for line in run.metrics()][:1] == [1]
        last = run.checkpoint(best=True)
        assert last is not None
        state, position = load_checkpoint(last, like=state_of(seed=2))
        assert_same(state, state_of(seed=position.epoch - 1))
        if not faults.failed:
            break
        if position.epoch == 1 or work is not save:
            work(run)
        fails += 1
    assert fails or call in ("replace", "ftruncate")


def complaint_of(work: Callable[[], Any]) -> str:
    """What an OutputError says; nothing without one."""
    try:
        work()
    except OutputError as error:
        return str(error)
    return ""


def test_a_run_that_could_not_be_begun_is_begun_when_there_is_room(tmp_path: Path) -> None:
    for call in CALLS:
        for fails in range(3):
            folder = tmp_path / f"{call}{fails}"
            with pytest.MonkeyPatch.context() as patch:
                faults = Faults(patch, call, fails, errno.ENOSPC)
                said = complaint_of(lambda folder=folder: run_in(folder))  # type: ignore[misc]
            if said:
                assert "cannot be written (No space left on device); choose another --run" in said
            if not (folder / "run.json").exists():
                assert faults.failed
                assert is_free(folder)
                run_in(folder)
            assert open_run(folder).checkpoint(best=True) is None


def test_a_run_whose_folder_was_removed_says_so_and_does_not_bring_it_back(tmp_path: Path) -> None:
    for number, work in enumerate((save, log, Run.finish)):
        run = run_in(tmp_path / str(number))
        shutil.rmtree(run.folder)
        with pytest.raises(OutputError, match=r"/\d: this folder was removed or renamed while its run was trained"):
            work(run)
        assert not run.folder.exists()


def test_a_lock_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run")
    (run.folder / "lock").unlink()
    (run.folder / "lock").mkdir()
    with (
        pytest.raises(OutputError, match=r"lock: cannot be written \(Is a directory\); make room, or move"),
        run.locked(),
    ):
        pass


def command_on_a_small_disk(size: int, *arguments: str) -> list[str]:
    """How the command is started where no file can become larger."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"
    return [sys.executable, "-c", f"{limit}; from pipeline.cli.main import main; main()", *arguments]


@pytest.mark.long
def test_a_real_process_whose_disk_fills_up_goes_on_to_the_same_parameters(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shards = str(sample_shards(tmp_path_factory))
    train = ("train", "--shards", shards, *SMALL, "--batch", "16", "--epochs", "4", "--run")
    assert in_process(*train, "whole", cwd=tmp_path).returncode == 0
    with subprocess.Popen(command(*train, "run"), cwd=tmp_path, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if line.startswith("epoch 1/4"):
                break
        running.send_signal(signal.SIGTERM)
        running.stderr.read()
    assert running.returncode == 143
    before = open_run(tmp_path / "run").checkpoint(best=False)
    assert before is not None
    names = {entry.name for entry in before.parent.iterdir()}
    for size, what in ((100_000, "the checkpoint cannot be written"), (150, r"metrics.jsonl: cannot be written")):
        resume = command_on_a_small_disk(size, "train", "--resume", "--run", "run")
        ran = subprocess.run(resume, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == 6, ran.stderr
        (said,) = [line for line in ran.stderr.splitlines() if line.startswith("sketchpipe: ")]
        assert what in said
        assert "make room" in said
        assert "Traceback" not in ran.stderr
        assert {entry.name for entry in before.parent.iterdir()} == names
        assert not hidden(tmp_path / "run")
        load_checkpoint(before)
    assert in_process("train", "--resume", "--run", "run", cwd=tmp_path).returncode == 0
    last = "checkpoints/00004-0000000/arrays.safetensors"
    assert (tmp_path / "run" / last).read_bytes() == (tmp_path / "whole" / last).read_bytes()
