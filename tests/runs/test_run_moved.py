"""A run's folder is moved, copied, or used from elsewhere."""

import json
import shutil
from pathlib import Path

import pytest

from model.runs.opening import open_run
from tests.small import SMALL, change_card, in_process, sample_shards, trained

RUN = "runs/001-sketch-classifier"
COMMANDS = ("evaluate --json --run {}", "predict --random --seed 1 --json --run {}")


@pytest.fixture
def work(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `shards/sample` and a finished run."""
    work = Path(shutil.copytree(trained(tmp_path_factory), tmp_path / "work"))
    change_card(work / RUN, shards_path=str(work / "shards" / "sample"))
    return work


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


def answers(run: str, cwd: Path) -> list[str]:
    """What evaluate and predict say of it, but for the names of folders."""
    out = []
    for one in COMMANDS:
        ran = in_process(*one.format(run).split(), cwd=cwd)
        assert ran.returncode == 0, ran.stderr
        fields = json.loads(ran.stdout)
        out.append(json.dumps({name: fields[name] for name in fields if name not in ("run", "shards")}))
    return out


def test_a_moved_run_answers_and_goes_on_as_before_from_any_folder(work: Path, elsewhere: Path) -> None:
    expected = answers(RUN, work)
    shutil.move(work / RUN, elsewhere / "y")
    assert answers("y", elsewhere) == expected
    assert answers(str(elsewhere / "y"), work) == expected
    change_card(elsewhere / "y", finished=False)
    shutil.rmtree(elsewhere / "y" / "checkpoints" / "00002-0000000")
    ran = in_process("train", "--resume", "--run", "y", cwd=elsewhere)
    assert ran.returncode == 0, ran.stderr
    assert open_run(elsewhere / "y").card.finished
    assert answers("y", elsewhere) == expected


def test_a_project_that_was_moved_as_a_whole_finds_its_shards_from_any_folder(work: Path, elsewhere: Path) -> None:
    expected = answers(RUN, work)
    moved = Path(shutil.move(work, elsewhere / "moved"))
    assert answers(RUN, moved) == expected
    assert answers("moved/" + RUN, elsewhere) == expected
    assert answers(str(moved / RUN), Path("/")) == expected


def test_shards_of_the_same_name_that_are_others_are_not_taken(
    work: Path, elsewhere: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected = answers(RUN, work)
    other = sample_shards(tmp_path_factory, "some-classes", classes=["cat", "fish", "tree"])
    shutil.copytree(other, elsewhere / "shards" / "sample")
    assert answers(str(work / RUN), elsewhere) == expected


def test_without_its_shards_a_run_says_what_it_needs_and_does_what_it_can(work: Path, elsewhere: Path) -> None:
    expected = answers(RUN, work)
    shutil.move(work / RUN, elsewhere / "y")
    shards = str(shutil.move(work / "shards" / "sample", elsewhere / "s"))
    change_card(elsewhere / "y", finished=False)
    for command in (*(one.format("y") for one in COMMANDS), "train --resume --run y"):
        ran = in_process(*command.split(), cwd=elsewhere)
        assert (ran.returncode, ran.stderr) == (
            3,
            "sketchpipe: shards/sample: the shards that y was trained on are missing; name others by --shards\n",
        )
    ran = in_process("evaluate", "--json", "--run", "y", "--shards", "s", cwd=elsewhere)
    assert json.loads(ran.stdout)["top1"] == json.loads(expected[0])["top1"]
    ran = in_process("train", "--resume", "--run", "y", "--shards", shards, *SMALL, "--epochs", "2", cwd=elsewhere)
    assert ran.returncode == 0, ran.stderr
