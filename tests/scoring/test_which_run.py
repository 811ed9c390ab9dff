"""Which run a command takes if none is named, and what it says of it: how good it is, and whether another is better."""

import json
from pathlib import Path

from model.runs.card import Added
from model.runs.folder import Run
from tests.runs.fresh_runs import fresh_run
from tests.small import change_card, in_process

HOUSE = {"word": "house", "drawing": [[[20, 128, 235], [120, 20, 120]]]}


def scored(folder: Path, *scores: float) -> Run:
    """A run with a validation top-1 for each epoch, which saved its checkpoint after those made before."""
    run = fresh_run(folder, "sketch-classifier", epochs=4)
    for epoch, top1 in enumerate(scores):
        run.log({"epoch": epoch, "validation_top1": top1})
    (folder.parents[1] / "house.ndjson").write_text(json.dumps(HOUSE) + "\n")
    return run


def said(work: Path, *arguments: str) -> list[str]:
    """What `predict` says of the run that it takes."""
    ran = in_process("predict", "house.ndjson", *arguments, cwd=work)
    assert ran.returncode == 0
    return ran.stderr.splitlines()


def test_the_newest_run_is_said_with_how_good_it_is_and_which_is_better_on_the_same_shards(tmp_path: Path) -> None:
    scored(tmp_path / "runs" / "001-a", 0.25, 0.5)
    assert said(tmp_path) == ["run: runs/001-a, validation top-1 50.0%"]
    scored(tmp_path / "runs" / "002-b b", 0.875, 0.75)
    assert said(tmp_path) == ["run: runs/002-b b, validation top-1 87.5%"]
    scored(tmp_path / "runs" / "003-other", 0.9375)
    change_card(tmp_path / "runs" / "003-other", shards_checksum="other")
    scored(tmp_path / "runs" / "004-c", 0.125)
    assert said(tmp_path) == [
        "run: runs/004-c, validation top-1 12.5%",
        "this run is the newest, but is not the best on its shards; --run 'runs/002-b b' has 87.5%",
    ]
    assert said(tmp_path, "--run", "runs/004-c") == []


def test_an_unfinished_run_is_said_to_be_one(tmp_path: Path) -> None:
    scored(tmp_path / "runs" / "001-a", 0.5)
    scored(tmp_path / "runs" / "002-b")
    change_card(tmp_path / "runs" / "002-b", finished=False)
    assert said(tmp_path) == [
        "run: runs/002-b, not validated yet",
        "this run is the newest, but is unfinished (0 of 4 epochs are done) and is not the best on its shards; "
        "--run runs/001-a has 50.0%",
    ]
    run = scored(tmp_path / "runs" / "003-c", 0.25, 0.75)
    change_card(tmp_path / "runs" / "003-c", finished=False)
    told = "run: runs/003-c, validation top-1 75.0%"
    reason = "this run is the newest, but is unfinished (2 of 4 epochs are done); --run names another"
    assert said(tmp_path) == [told, reason]
    added = Added(epochs=8, lr=0.001, warmup=0.05)
    change_card(tmp_path / "runs" / "003-c", added=(added,))
    assert said(tmp_path) == [told, reason.replace("2 of 4", "2 of 8")]
    change_card(tmp_path / "runs" / "003-c", added=())
    with run.locked():
        assert said(tmp_path) == [told, reason.replace("unfinished", "training")]
