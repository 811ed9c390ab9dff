"""The network that comes with sketchpipe is what its card says, and the benchmark that made it makes others."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pipeline
from model.networks import make_network, parameter_table
from model.runs.weights import read_weights
from pipeline.classes import WORDS
from pipeline.rendering.render import render
from pipeline.shards.shuffle import SPLITS, parse_splits, split_of

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "model" / "pretrained" / "sketchnet-345"


def test_the_shipped_weights_are_whole_and_small_and_know_every_word() -> None:
    found = read_weights(SHIPPED)
    assert sorted(found.config.classes) == sorted(WORDS)
    assert parameter_table(found.config.network, len(WORDS))[1] <= 700_000
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 1_300_000


def test_the_shipped_weights_predict_real_test_drawings_as_well_as_their_card_says(quickdraw: Path) -> None:
    found = read_weights(SHIPPED)
    drawings = pipeline.read_drawings([str(path) for path in sorted((quickdraw / "simplified").glob("*.ndjson"))])
    is_test = split_of(drawings.key_id, parse_splits(found.card["training"]["splits"])) == SPLITS.index("test")
    chosen = drawings.take(np.flatnonzero(is_test & (drawings.recognized == 1))[::2])
    words = [chosen.words[word] for word in chosen.word]
    network = make_network(found.config.network, len(WORDS))
    logits = network.apply(found.variables, render(chosen, found.config.render_config()), train=False)
    top1 = np.mean([found.config.classes[label] == word for label, word in zip(logits.argmax(1), words, strict=True)])
    expected = found.card["test"]["recognized_top1"]
    assert abs(top1 - expected) < 4 * np.sqrt(expected * (1 - expected) / len(words))


@pytest.mark.long
def test_a_trial_of_the_benchmark_writes_weights_with_a_card(quickdraw: Path, tmp_path: Path) -> None:
    for place, folder in enumerate(("simplified", "nokey", "raw", "recognized", "more", "more-nokey")):
        (tmp_path / "drawings" / folder).mkdir(parents=True)
        for word in ("cat", "sun"):
            lines = (quickdraw / "simplified" / f"{word}.ndjson").read_bytes().splitlines(keepends=True)
            (tmp_path / "drawings" / folder / f"{word}.ndjson").write_bytes(b"".join(lines[place::6]))
    command = [
        sys.executable,
        ROOT / "benchmarks" / "pretrained.py",
        "drawings",
        "work",
        "--to",
        "made",
        "--epochs",
        "1",
    ]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    made = read_weights(tmp_path / "made")
    assert made.config.classes == ("cat", "sun")
    assert made.card["training"]["drawings"] > made.card["test"]["drawings"] > 0
    assert list(made.card["test_early"]) == ["0.25", "0.50", "0.75", "1.00"]
    assert made.card["test_early"]["1.00"] == made.card["test"]["top1"]
