"""A bit that flips, a file that is lost or comes from elsewhere: never loaded without a word, and it can be mended."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from model.runs.checkpoint import Position
from model.runs.find import new_folder
from model.runs.folder import Run
from model.runs.opening import is_free, open_run
from model.runs.state import load_checkpoint
from pipeline.errors import CheckpointError, LockedError, MismatchError
from tests.runs.small_runs import FILES, config_of, run_in, state_of, two_checkpoints
from tests.small import in_process, trained

FLIPS = 300
RUN = "runs/001-sketch-classifier"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return two_checkpoints(tmp_path / "runs" / "001-sketchnet")


def loaded(folder: Path) -> Any:
    """All that is ever read of a run."""
    run = open_run(folder)
    checkpoints = [run.checkpoint(best=best) for best in (True, False)]
    return run.card, run.config, [load_checkpoint(one, like=state_of(seed=2)) for one in checkpoints if one is not None]


def assert_loaded(found: Any, expected: Any) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_a_bit_flipped_anywhere_in_a_run_is_never_loaded(run: Run) -> None:
    expected = loaded(run.folder)
    paths = [run.folder / "run.json", run.folder / "config.json", *run.folder.glob("checkpoints/*/*")]
    assert len(paths) == 2 + 2 * len(FILES)
    dice = np.random.default_rng(0)
    for trial in range(FLIPS):
        path = paths[trial % len(paths)]  # each as often: most bytes are the arrays'
        whole = path.read_bytes()
        flip(path, int(dice.integers(8 * len(whole))))
        with pytest.raises(CheckpointError, match="damaged") as error:
            loaded(run.folder)
        assert error.value.exit_code == 4
        assert str(error.value).startswith(str(run.folder))
        path.write_bytes(whole)
    assert_loaded(loaded(run.folder), expected)


def test_a_bit_flipped_in_the_metrics_loses_at_most_lines_and_stops_nothing(run: Run) -> None:
    for epoch in range(3):
        run.log({"epoch": epoch, "train_loss": 1.5})
    path = run.folder / "metrics.jsonl"
    whole = path.read_bytes()
    lost = 0
    for bit in np.random.default_rng(0).choice(8 * len(whole), 200, replace=False).tolist():
        flip(path, bit)
        before = run.metrics()
        lost += len(before) < 3
        run.log({"epoch": 3, "train_loss": 1.0})
        assert run.metrics()[-1] == {"epoch": 3, "train_loss": 1.0}
        path.write_bytes(whole)
    assert lost > 20
    assert run.metrics() == [{"epoch": epoch, "train_loss": 1.5} for epoch in range(3)]


@pytest.mark.parametrize("name", ["run.json", "checkpoints/00001-0000003/manifest.json"])
def test_json_that_is_nested_too_deep_is_damage(run: Run, name: str) -> None:
    assert (run.folder / name).exists()
    (run.folder / name).write_text("[" * 300_000)
    with pytest.raises(CheckpointError, match="damaged"):
        loaded(run.folder)


def test_a_line_of_the_metrics_that_cannot_be_read_stays_where_it_is(run: Run) -> None:
    lines = ['{"epoch": 0}', '{"epoch": 1, "train_lo', "[1]", '{"epoch": 2}']
    (run.folder / "metrics.jsonl").write_text("\n".join(lines))
    run.log({"epoch": 2, "train_loss": 1.0})
    text = (run.folder / "metrics.jsonl").read_text()
    assert text.splitlines() == [*lines[:3], '{"epoch": 2, "train_loss": 1.0}']
    assert [line["epoch"] for line in run.metrics()] == [0, 2]


def test_a_checkpoint_of_another_configuration_is_refused(run: Run, tmp_path: Path) -> None:
    other = run_in(tmp_path / "other", lr=0.01)
    other.save(state_of(), Position(2, 0, 1.0), best=False)
    shutil.copytree(other.folder / "checkpoints" / "00002-0000000", run.folder / "checkpoints" / "00002-0000000")
    with pytest.raises(MismatchError, match=r"of another configuration .*lr 0\.01 in it, 0\.008 in the run"):
        run.checkpoint(best=False)


def test_a_damaged_configuration_is_mended_by_a_checkpoint_s_own(run: Run) -> None:
    expected = loaded(run.folder)
    text = (run.folder / "config.json").read_text()
    (run.folder / "config.json").write_text(text.replace("0.008", "0.005"))
    with pytest.raises(CheckpointError, match=r"copy the config\.json of one of its checkpoints over it"):
        open_run(run.folder)
    shutil.copy(run.folder / "checkpoints" / "00001-0000000" / "config.json", run.folder)
    assert_loaded(loaded(run.folder), expected)


def test_a_damaged_card_is_mended_by_that_of_a_run_of_the_same_configuration(run: Run, tmp_path: Path) -> None:
    expected = loaded(run.folder)
    flip(run.folder / "run.json", 1000)
    with pytest.raises(CheckpointError, match="copy it from another run of the same configuration and shards"):
        open_run(run.folder)
    shutil.copy(run_in(tmp_path / "lr", lr=0.01).folder / "run.json", run.folder)
    with pytest.raises(CheckpointError, match=r"config\.json: damaged"):
        open_run(run.folder)
    shutil.copy(run_in(tmp_path / "same").folder / "run.json", run.folder)
    assert_loaded(loaded(run.folder), expected)


def test_where_the_best_checkpoint_was_removed_the_last_is_the_best(run: Run) -> None:
    flip(run.folder / "checkpoints" / "00001-0000000" / "arrays.safetensors", 1000)
    best = run.checkpoint(best=True)
    assert best is not None
    with pytest.raises(CheckpointError, match=f"remove {best}"):
        load_checkpoint(best)
    shutil.rmtree(best)
    assert run.checkpoint(best=True) == run.checkpoint(best=False) == run.folder / "checkpoints" / "00001-0000003"


def test_a_run_that_was_killed_before_it_was_one_is_begun_anew(tmp_path: Path) -> None:
    for left in ([], ["lock"], ["lock", "checkpoints/"], ["lock", "checkpoints/", "config.json", ".run.json.partial"]):
        folder = new_folder("sketchnet", tmp_path / "runs")
        folder.mkdir(parents=True)
        for name in left:
            (folder / name).mkdir() if name.endswith("/") else (folder / name).touch()
        assert new_folder("sketchnet", tmp_path / "runs") == folder
        assert run_in(folder) == open_run(folder)
        assert not is_free(folder)
        assert not list(folder.glob(".*"))
        with pytest.raises(LockedError, match="another process has just begun it"):
            run_in(folder)
        shutil.rmtree(folder)


@pytest.mark.parametrize("names", [["config.json"], ["lock", "notes.txt"], ["lock", "run.json"]])
def test_a_folder_of_somebody_else_is_not_free(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert not is_free(tmp_path)
    assert not is_free(tmp_path / names[0])


def test_what_is_not_the_run_s_own_is_never_pruned(run: Run) -> None:
    for name in ("notes.txt", ".DS_Store"):
        (run.folder / "checkpoints" / name).touch()
    (run.folder / "checkpoints" / ".00000-0000007.99").mkdir()
    run.save(state_of(), dataclasses.replace(Position(4, 0, 1.0)), best=True)
    names = sorted(entry.name for entry in (run.folder / "checkpoints").iterdir())
    assert names == [".DS_Store", "00004-0000000", "notes.txt"]


@pytest.mark.parametrize("name", ["run.json", "config.json", "arrays.safetensors", "position.json", "manifest.json"])
def test_every_command_says_in_a_line_which_file_is_damaged(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    work = Path(shutil.copytree(trained(tmp_path_factory), tmp_path / "work"))
    for path in [*(work / RUN).glob(name), *(work / RUN).glob(f"checkpoints/*/{name}")]:
        flip(path, 8 * path.stat().st_size // 2)
    commands = ["evaluate", "predict --random", "evaluate --run " + RUN]
    if name in ("run.json", "config.json"):  # it is done: nothing of its checkpoints is read
        commands.append("train --resume --run " + RUN)
    for command in commands:
        ran = in_process(*command.split(), cwd=work)
        assert (ran.returncode, ran.stdout) == (4, ""), command
        assert "damaged" in ran.stderr.splitlines()[-1]
        assert name in ran.stderr.splitlines()[-1]
        assert ran.stderr.count("sketchpipe: ") == 1


def test_a_configuration_s_text_is_the_same_in_the_run_and_in_its_checkpoints(run: Run) -> None:
    texts = {path.read_text() for path in run.folder.rglob("config.json")}
    assert [json.loads(text)["classes"] for text in texts] == [list(config_of().classes)]
