"""Runs as their text files are, without weights: for tests of what is told of runs."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model.networks import make_config
from model.runs.card import FORMAT_VERSION, RunCard
from pipeline.storage.sealed import seal


def made(folder: Path, *scores: float, card: dict[str, Any] | None = None, **changes: Any) -> Path:
    """A run as its text files are, with a validation top-1 for each epoch."""
    config = make_config("sketchnet", ("ant", "bee", "cat"), drawings=1000, epochs=len(scores), augment="off")
    folder.mkdir(parents=True)
    settings = json.dumps({**json.loads(config.to_json()), **changes}).encode()
    (folder / "config.json").write_bytes(settings)
    named = RunCard("shards/a", "/shards/a", "aa", True, {}, finished=True, format_version=FORMAT_VERSION)
    fields = asdict(named)
    proof = {"config_sha256": hashlib.sha256(settings).hexdigest()}
    (folder / "run.json").write_text(seal({**fields, **proof, **(card or {})}))
    lines = [
        {"epoch": epoch, "seconds": 30.0 * (epoch + 1), "validation_top1": top1, "train_loss": 1 / (epoch + 1),
         "validation_drawings": 100}
        for epoch, top1 in enumerate(scores)
    ]  # fmt: skip
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder
