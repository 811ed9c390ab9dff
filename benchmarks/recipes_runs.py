"""The folder of `recipes.py`: a JSON line for each finished run, and its weights."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flax.traverse_util import flatten_dict, unflatten_dict
from recipes_training import Trained
from safetensors.numpy import load_file, save_file
from settings_networks import Variant
from settings_table import Setting

from pipeline.shards.read import ShardSplit

RESULTS = "results.jsonl"


@dataclass(frozen=True)
class Runs:
    """The finished runs in a folder on the shards of a split; an unfinished one leaves nothing."""

    folder: Path
    split: ShardSplit

    def key(self, name: str, setting: Setting, seed: int, teacher: str) -> dict[str, Any]:
        """What tells a run from others: its name, setting, seed, shards and teacher."""
        shards = self.split.manifest.checksum
        fields = {"name": name, "seed": seed, "setting": asdict(setting), "shards": shards, "teacher": teacher}
        key: dict[str, Any] = json.loads(json.dumps(fields))  # tuples become lists, as in the file
        return key

    def read(self) -> list[dict[str, Any]]:
        """The finished runs on these shards, the oldest first."""
        path = self.folder / RESULTS
        lines = path.read_text().splitlines() if path.exists() else []
        return [run for run in map(json.loads, lines) if run["shards"] == self.split.manifest.checksum]

    def find(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """The run with a key; None if it is not finished."""
        return next((run for run in self.read() if key.items() <= run.items()), None)

    def add(self, key: dict[str, Any], found: dict[str, Any], trained: Trained) -> dict[str, Any]:
        """Keep a finished run: first its weights, averaged, then its line."""
        weights = self.folder / f"{digest(key)}.safetensors"
        save_file(flatten_dict(trained.average, sep="/"), weights)
        run = {**key, **found, "weights": weights.name}
        with (self.folder / RESULTS).open("a") as file:
            file.write(json.dumps(run) + "\n")
        return run

    def load(self, name: str, seed: int) -> tuple[dict[str, Any], Variant, Any]:
        """The newest run of a variant with a seed, its network and its averaged variables.

        Raises:
            SystemExit: there is none.
        """
        run = next((run for run in reversed(self.read()) if (run["name"], run["seed"]) == (name, seed)), None)
        if run is None:
            raise SystemExit(f"{self.folder}: no finished run {name}:{seed} on {self.split.folder}")
        network = Variant(classes=len(self.split.manifest.classes), **run["setting"]["network"])
        return run, network, unflatten_dict(load_file(self.folder / run["weights"]), sep="/")


def digest(key: Any) -> str:
    """A short name for a key."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]


def member_of(text: str) -> tuple[str, int]:
    """The variant and the seed of a member that is written "variant:seed".

    >>> member_of("silu+lr8:1")
    ('silu+lr8', 1)
    """
    name, _, seed = text.rpartition(":")
    return name, int(seed)
