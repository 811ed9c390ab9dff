"""The network that comes with sketchpipe is what its card says, and the benchmark that made it makes others."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pipeline
from model.networks import parameter_table
from model.runs.weights import read_config, read_weights
from model.scoring.predict import load_run
from pipeline.classes import WORDS
from pipeline.rendering.render import render
from pipeline.shards.shuffle import SPLITS, parse_splits, split_of
from tests.small import sample_shards, sketchpipe

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "model" / "pretrained" / "sketchnet-345"


def test_the_shipped_weights_are_whole_and_small_and_know_every_word() -> None:
    config, card = read_config(SHIPPED)
    read_weights(SHIPPED, config)
    assert card["test"]["top1"] > 0.7
    assert card["calibration"]["drawings"] == card["training"]["validation_drawings"] > 10_000
    assert card["calibration"]["shards_checksum"] == card["training"]["shards_checksum"]
    assert sorted(config.classes) == sorted(WORDS)
    assert parameter_table(config.network, len(WORDS))[1] <= 700_000
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 1_300_000


def test_the_shipped_weights_predict_real_test_drawings_as_well_as_their_card_says(quickdraw: Path) -> None:
    config, card = read_config(SHIPPED)
    drawings = pipeline.read_drawings([str(path) for path in sorted((quickdraw / "recognized").iterdir())[::2]])
    is_test = split_of(drawings.key_id, parse_splits(card["training"]["splits"])) == SPLITS.index("test")
    chosen = drawings.take(np.flatnonzero(is_test))
    words = [chosen.words[word] for word in chosen.word]
    logits = load_run("sketchnet-345").logits(render(chosen, config.render_config()))
    top1 = np.mean([config.classes[label] == word for label, word in zip(logits.argmax(1), words, strict=True)])
    expected = np.mean([card["test_by_class"][word] for word in words])
    assert abs(top1 - expected) < 0.02  # these are most of the test drawings of their classes


@pytest.mark.long
def test_a_trial_of_the_benchmark_writes_weights_with_a_card(quickdraw: Path, tmp_path: Path) -> None:
    for place, folder in enumerate(("simplified", "nokey", "raw", "recognized", "more", "more-nokey")):
        (tmp_path / "drawings" / folder).mkdir(parents=True)
        for word in ("cat", "dog"):
            lines = (quickdraw / "simplified" / f"{word}.ndjson").read_bytes().splitlines(keepends=True)
            (tmp_path / "drawings" / folder / f"{word}.ndjson").write_bytes(b"".join(lines[place::6]))
    script = ROOT / "benchmarks" / "pretrained.py"
    command = [sys.executable, script, "drawings", "work", "--to", "made", "--epochs", "2"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    config, card = read_config(tmp_path / "made")
    assert config.classes == ("cat", "dog")
    assert card["training"]["drawings"] > card["test"]["drawings"] > 0
    assert list(card["test_early"]) == ["0.25", "0.50", "0.75", "1.00"]
    assert card["test_early"]["1.00"] == card["test"]["top1"]


def test_the_network_that_comes_with_sketchpipe_predicts_where_there_is_no_run(tmp_path: Path) -> None:
    ran = sketchpipe("predict", "--random", "--seed", "3", "--top", "3", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "runs/: no trained run here; using sketchnet-345, which comes with sketchpipe" in ran.stderr
    assert "drawing a synthetic doodle of the built-in sample" in ran.stderr
    assert 'drew "cat", predicted ' in ran.stdout
    assert (tmp_path / "image.png").exists()
    assert sketchpipe("predict", "--random", "--seed", "3", "--top", "3", cwd=tmp_path).stdout == ran.stdout


def test_it_is_named_by_run_and_listed_last(tmp_path: Path) -> None:
    listed = sketchpipe("runs", cwd=tmp_path)
    assert listed.stdout.startswith("sketchnet-345  built in, for --run: sketchnet, 345 classes, 595,881 parameters, ")
    told = json.loads(sketchpipe("runs", "--json", cwd=tmp_path).stdout)
    assert [(one["run"], one["state"]) for one in told["runs"]] == [("sketchnet-345", "weights")]
    refused = sketchpipe("evaluate", "--run", "sketchnet-345", cwd=tmp_path)
    assert (refused.returncode, "name some by --shards" in refused.stderr) == (3, True)
    (tmp_path / "sketchnet-345").mkdir()  # a path that exists comes first
    refused = sketchpipe("evaluate", "--run", "sketchnet-345", cwd=tmp_path)
    assert (refused.returncode, "sketchnet-345: no run here" in refused.stderr) == (3, True)


@pytest.mark.long
def test_a_run_starts_from_it(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    shards = str(sample_shards(tmp_path_factory))
    trained = sketchpipe("train", "--shards", shards, "--start", "sketchnet-345", "--epochs", "1", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    scores = json.loads(sketchpipe("evaluate", "--json", cwd=tmp_path).stdout)
    assert scores["top1"] > 0.5  # of ten classes, after some thirty steps
    own = sketchpipe("evaluate", "--run", "sketchnet-345", "--shards", shards, "--json", cwd=tmp_path)
    assert json.loads(own.stdout)["temperature"] != 1
