"""A run's folder: what was trained on what, its checkpoints, and how the newest run is found.

run.json         network, shards, versions, whether it is finished; config.json the whole configuration
metrics.jsonl    a line an epoch
checkpoints/     the last and the best, by their number of steps; best.json names the best
"""

import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model.checkpoint import Position, load_checkpoint, save_checkpoint
from model.config import TrainConfig
from model.steps import TrainState
from pipeline.errors import CheckpointError, InputError, MismatchError, SketchpipeError
from pipeline.shards.commit import write_atomically

RUNS = Path("runs")
FORMAT_VERSION = 1
_NAME = re.compile(r"(\d{3,})-.+")


@dataclass(frozen=True)
class RunCard:
    """What `run.json` says beside the configuration.

    Attributes:
        shards: the folder the run was trained on, as it was named.
        shards_path: the same, absolute.
        shards_checksum: of that folder's manifest.
        synthetic: whether those drawings are the built-in sample's.
        versions: of what trained it.
        finished: whether all epochs are done.
        format_version: of the run's folder.
    """

    shards: str
    shards_path: str
    shards_checksum: str
    synthetic: bool
    versions: dict[str, str]
    finished: bool = False
    format_version: int = FORMAT_VERSION


@dataclass
class Run:
    """A run on disk."""

    folder: Path
    config: TrainConfig
    card: RunCard

    def create(self) -> None:
        """Make the folder; `run.json`, written last, makes it a run."""
        (self.folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / "config.json", self.config.to_json())
        self._write_card()

    def shards_folder(self) -> Path:
        """Where the shards lie that the run was trained on: as they were named, else where they were then."""
        named, then = Path(self.card.shards), Path(self.card.shards_path)
        for folder in (named, then):
            if folder.is_dir():
                return folder
        raise InputError(f"{named}: the shards that {self.folder} was trained on are gone; name others with --shards")

    def save(self, state: TrainState, position: Position, *, best: bool) -> None:
        """Write a checkpoint, name it the best if it is, and remove those that are neither the last nor the best."""
        checkpoints = self.folder / "checkpoints"
        name = f"{int(state.step):08d}"
        if not (checkpoints / name).exists() or load_checkpoint(checkpoints / name)[1] != position:
            shutil.rmtree(checkpoints / name, ignore_errors=True)
            save_checkpoint(checkpoints / name, state, position)
        if best:
            write_atomically(self.folder / "best.json", json.dumps({"checkpoint": name, **asdict(position)}))
        keep = {name, self._best_name()}
        for entry in checkpoints.iterdir():
            if entry.name not in keep:
                shutil.rmtree(entry)

    def checkpoint(self, *, best: bool) -> Path | None:
        """The best or the last checkpoint; None before the first."""
        checkpoints = self.folder / "checkpoints"
        names = sorted(entry.name for entry in checkpoints.glob("[0-9]*")) if checkpoints.is_dir() else []
        if not names:
            return None
        name = self._best_name() if best else names[-1]
        return checkpoints / (name or names[-1])

    def finish(self) -> None:
        """Note that all epochs are done."""
        self.card = RunCard(**{**asdict(self.card), "finished": True})
        self._write_card()

    def log(self, metrics: dict[str, Any]) -> None:
        """Append a line to `metrics.jsonl`; a line of the same epoch from before a crash is replaced."""
        path = self.folder / "metrics.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        lines = [line for line in lines if line["epoch"] < metrics["epoch"]]
        write_atomically(path, "".join(json.dumps(line) + "\n" for line in [*lines, metrics]))

    def _best_name(self) -> str | None:
        try:
            name = json.loads((self.folder / "best.json").read_text())["checkpoint"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{self.folder / 'best.json'}: damaged; remove it to use the last checkpoint"
            ) from error
        return str(name)

    def _write_card(self) -> None:
        write_atomically(self.folder / "run.json", json.dumps(asdict(self.card), indent=1, ensure_ascii=False) + "\n")


def open_run(folder: Path) -> Run:
    """The run in a folder.

    Raises:
        InputError: there is none.
        CheckpointError: its files are damaged.
        MismatchError: it is of a format that this version does not read.
    """
    if not (folder / "run.json").exists():
        raise InputError(f"{folder}: no run here; train one with `sketchpipe train`")
    try:
        fields = json.loads((folder / "run.json").read_text())
        if fields["format_version"] != FORMAT_VERSION:
            raise MismatchError(f"{folder}: run format {fields['format_version']}, this version reads {FORMAT_VERSION}")
        card = RunCard(**fields)
        config = TrainConfig.from_json((folder / "config.json").read_text())
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, MismatchError):
            raise
        raise CheckpointError(f"{folder}: its run.json or config.json is damaged ({error})") from error
    return Run(folder, config, card)


def list_runs(runs: Path = RUNS) -> list[Path]:
    """The run folders in `runs`, oldest first."""
    if not runs.is_dir():
        return []
    numbered = [(int(match[1]), entry) for entry in runs.iterdir() if (match := _NAME.fullmatch(entry.name))]
    return [entry for _, entry in sorted(numbered) if (entry / "run.json").exists()]


def newest_run(runs: Path = RUNS) -> Run:
    """The newest run that has a checkpoint.

    Raises:
        InputError: there is none.
    """
    for folder in reversed(list_runs(runs)):
        run = open_run(folder)
        if run.checkpoint(best=True) is not None:
            return run
    raise InputError(
        f"{runs}/: no trained run here; train one with `sketchpipe train --shards DIR`, or name it with --run"
    )


def unfinished_run(config: TrainConfig, card: RunCard, runs: Path = RUNS) -> Run | None:
    """The newest unfinished run of the same configuration on the same shards."""
    for folder in reversed(list_runs(runs)):
        try:
            run = open_run(folder)
        except SketchpipeError:
            continue
        if not run.card.finished and differences(run, config, card) == []:
            return run
    return None


def differences(run: Run, config: TrainConfig, card: RunCard) -> list[str]:
    """Where a run's configuration or shards are others than these, each as a phrase."""
    mine, other = asdict(run.config), asdict(config)
    found = [
        f"{name} {_short(mine[name])} in the run, {_short(other[name])} here"
        for name in mine
        if mine[name] != other[name]
    ]
    if run.card.shards_checksum != card.shards_checksum and mine["classes"] == other["classes"]:
        found.append(f"other shards than {run.card.shards}")
    return found


def new_folder(network: str, runs: Path = RUNS) -> Path:
    """The next free `runs/001-sketchnet`."""
    numbers = [int(match[1]) for entry in runs.glob("*") if (match := _NAME.fullmatch(entry.name))]
    return runs / f"{max(numbers, default=0) + 1:03d}-{network}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 60 else text[:56] + " ..."
