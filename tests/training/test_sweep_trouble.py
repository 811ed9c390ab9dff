"""What a sweep cannot do: said before the training where it can be known, else the others are trained."""

import contextlib
import os
import shutil
from pathlib import Path

import jax.numpy as jnp
import pytest

from model.runs.opening import open_run
from model.training.train import Progress
from pipeline.cli.training import TrainingLine
from pipeline.storage.sealed import seal, unseal
from tests.small import beside_shards, in_process, sample_shards
from tests.training.sweeps import GRID, SWEEP, swept_once


@pytest.fixture
def work(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `shards/sample` and no run."""
    return beside_shards(tmp_path, tmp_path_factory)


@pytest.fixture
def done(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after the sweep of `GRID`."""
    return Path(shutil.copytree(swept_once(tmp_path_factory)[0], tmp_path / "done"))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--lr", "0.1,fast"), 2, '--lr "0.1,fast": expected numbers with commas between them'),
        (("--batch", "32,1.5"), 2, '--batch "32,1.5": expected whole numbers'),
        (("--lr", ","), 2, '",": the list is empty'),
        (("--lr", "0.1,2"), 2, "lr must be above 0 and at most 1, found 2.0"),
        (("--batch", "32,64,1024"), 2, "batch 1024: larger than the training split (492 drawings)"),
        (("--network", "sketchnet,sketchnets"), 2, "did you mean 'sketchnet'"),
        (("--shards", "none"), 3, "none: no such folder"),
        (("--curves", "curves.jpg"), 2, "let its name end in .png"),
        (("--curves", "/proc/nope/x.png"), 6, "/proc/nope/x.png: cannot be written (no file can be created in /proc"),
        (("--curves", "shards/sample/manifest.json/x.png"), 6, "is not a folder); choose another place"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_trained(
    work: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    ran = in_process("sweep", *arguments, cwd=work)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert message in ran.stderr.splitlines()[-1]
    assert not (work / "runs").exists()


def test_without_shards_it_takes_the_only_ones_or_names_those_there_are(work: Path) -> None:
    (work / "shards" / "other").symlink_to((work / "shards" / "sample").resolve())
    ran = in_process(*GRID, cwd=work)
    assert ran.returncode == 2
    assert "shards/ holds several: name shards/other or shards/sample" in ran.stderr
    shutil.rmtree(work / "shards")
    ran = in_process(*GRID, cwd=work)
    assert (ran.returncode, "there are none in shards/" in ran.stderr) == (2, True)


def test_shards_without_a_validation_split_cannot_be_swept(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shards = sample_shards(tmp_path_factory, "no-validation", splits="0.9,0,0.1")
    ran = in_process(*GRID, "--shards", str(shards), cwd=tmp_path)
    assert ran.returncode == 3
    assert "its validation split, by which runs are compared, has no drawings" in ran.stderr


def test_a_test_split_without_drawings_is_said_before_anything_is_trained(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shards = sample_shards(tmp_path_factory, "no-test", splits="0.8,0.2,0")
    ran = in_process(*GRID, "--test", "--shards", str(shards), cwd=tmp_path)
    assert (ran.returncode, "its test split has no drawings" in ran.stderr) == (3, True)
    assert not (tmp_path / "runs").exists()


def test_a_run_without_a_card_is_said_and_not_looked_at(done: Path) -> None:
    (done / "runs" / "004-sketch-classifier" / "run.json").unlink()
    (done / "runs" / "005-empty").mkdir()
    ran = in_process(*SWEEP, "--lr", "0.01", "--batch", "64", cwd=done)
    assert "skipped: runs/004-sketch-classifier: run.json is missing" in ran.stderr
    assert "005-empty" not in ran.stderr


def test_a_run_that_another_process_trains_ends_the_sweep_once_the_others_are_trained(done: Path) -> None:
    run = done / "runs" / "003-sketch-classifier"
    path = run / "run.json"
    path.write_text(seal({**unseal(path.read_text())[0], "finished": False}))
    shutil.rmtree(done / "runs" / "004-sketch-classifier")
    with open_run(run).locked():
        ran = in_process(*GRID, "--test", cwd=done)
    assert ran.returncode == 7
    said = ran.stderr.splitlines()
    assert "runs/003-sketch-classifier: another process is training it; checked again at the end" in said
    assert said[-1] == (
        "sketchpipe: runs/003-sketch-classifier: another process is training it; run the same command again when that "
        "is done"
    )
    assert "--run" not in ran.stderr.replace("--run runs/", "")  # a sweep has no such option
    assert "the test split is scored when all runs are done" in said
    rows = ran.stdout.split("\n\n")[0].splitlines()[1:]
    assert [f"training: being trained by process {os.getpid()}" in row for row in rows] == [False] * 3 + [True]
    assert "best: " in ran.stdout
    assert "test:" not in ran.stdout
    again = in_process(*GRID, cwd=done)
    assert again.returncode == 0, again.stderr
    assert "3 done, 1 to resume, 0 new" in again.stderr


def test_a_run_that_is_free_again_at_the_end_is_trained_then(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = done / "runs" / "003-sketch-classifier"
    path = run / "run.json"
    path.write_text(seal({**unseal(path.read_text())[0], "finished": False}))
    with contextlib.ExitStack() as other:
        other.enter_context(open_run(run).locked())

        def tell(message: str) -> None:
            if "checked again at the end" in message:
                other.close()

        monkeypatch.setattr("pipeline.cli.sweep.say", tell)
        ran = in_process(*GRID, cwd=done)
    assert ran.returncode == 0, ran.stderr
    assert open_run(run).card.finished


def test_a_batch_that_does_not_fit_into_memory_is_reported_and_the_others_are_trained(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = TrainingLine.report

    def fill_the_device(line: TrainingLine, progress: Progress) -> None:
        if progress.steps < 7:  # of 492 drawings: the larger batch
            jnp.zeros(1 << 46, jnp.uint8).block_until_ready()
        report(line, progress)

    monkeypatch.setattr(TrainingLine, "report", fill_the_device)
    for told in ("0 done, 0 to resume, 2 new", "1 done, 1 to resume, 0 new"):
        ran = in_process(*SWEEP, "--batch", "128,64", cwd=work)
        assert ran.returncode == 0, ran.stderr
        assert told in ran.stderr
        assert "batch 128: not enough memory for a step" in ran.stderr
        best, other = ran.stdout.splitlines()[1:3]
        assert (best.split()[:3:2], other.split()[1]) == (["*", "64"], "128")
        assert "unfinished: resume it with" in other
        assert "best: batch 64: " in ran.stdout


def test_a_bad_line_in_the_metrics_leaves_a_run_finished_and_is_said(done: Path) -> None:
    for run in sorted(done.glob("runs/0*")):
        with (run / "metrics.jsonl").open("a") as metrics:
            metrics.write("\n")
    ran = in_process(*GRID, cwd=done)
    assert ran.returncode == 0, ran.stderr
    assert "4 done, 0 to resume, 0 new" in ran.stderr
    assert "best: batch " in ran.stdout
    assert ran.stdout.count("finished: metrics.jsonl: skipped line 2, not the metrics of an epoch") == 4
