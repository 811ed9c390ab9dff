"""A run's folder: what was trained on what, its checkpoints, and how the newest run is found.

run.json         network, shards, versions, whether it is finished; config.json the whole configuration
metrics.jsonl    a line an epoch
train/, validation/    the same for TensorBoard, where tensorboardX is installed
checkpoints/     the last and the best, by their epoch and step; the last one's position names the best
lock             held by the process that trains the run
"""

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from model.checkpoint import Position, load_position, save_checkpoint
from model.config import TrainConfig
from model.overview import FORMAT_VERSION, RUN_NAME, RUNS
from model.steps import TrainState
from pipeline.errors import CheckpointError, InputError, LockedError, MismatchError, OutputError, SketchpipeError
from pipeline.locks import locked_file
from pipeline.storage import write_atomically


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
        splits: the shares by which those shards were split; None where that is not known.
        diverged: where its loss or a weight was no longer finite; None of a run that did not get there.
        format_version: of the run's folder.
    """

    shards: str
    shards_path: str
    shards_checksum: str
    synthetic: bool
    versions: dict[str, str]
    finished: bool = False
    splits: str | None = None
    diverged: str | None = None
    format_version: int = FORMAT_VERSION


@dataclass
class Run:
    """A run on disk."""

    folder: Path
    config: TrainConfig
    card: RunCard

    def create(self) -> None:
        """Make the folder; `run.json`, written last, makes it a run."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "checkpoints").mkdir()
            write_atomically(self.folder / "config.json", self.config.to_json())
            self._write_card()
        except FileExistsError as error:
            raise LockedError(f"{self.folder}: another process has just begun it; run the command again") from error
        except OSError as error:
            raise OutputError(f"{self.folder}: cannot be written ({error.strerror}); choose another --run") from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for one process that trains it.

        Raises:
            LockedError: another process holds it. A dead process's lock is nobody's.
        """
        with locked_file(self.folder / "lock", self._busy):
            yield

    def _busy(self, pid: str) -> str:
        return f"{self.folder}: process {pid} is training it; wait for it, or choose another --run"

    def shards_folder(self) -> Path:
        """Where the shards lie that the run was trained on: as they were named, else where they were then."""
        named, then = Path(self.card.shards), Path(self.card.shards_path)
        for folder in (named, then):
            if folder.is_dir():
                return folder
        raise InputError(f"{named}: the shards that {self.folder} was trained on are gone; name others with --shards")

    def save(self, state: TrainState, position: Position, *, best: bool) -> Position:
        """Write a checkpoint and remove those that are neither the last nor the best.

        Returns:
            The position as it was stored: it names this checkpoint as the best, if it is.

        Raises:
            OutputError: it cannot be written; those before it stand.
        """
        checkpoints = self.folder / "checkpoints"
        name = f"{position.epoch:05d}-{position.step:07d}"
        # One rename makes the checkpoint and says which is the best: no crash can part the two.
        position = replace(position, best=name if best else position.best)
        save_checkpoint(checkpoints / name, state, position)
        for entry in checkpoints.iterdir():
            if entry.name not in (name, position.best):
                shutil.rmtree(entry)
        return position

    def checkpoint(self, *, best: bool) -> Path | None:
        """The best or the last checkpoint; None before the first.

        Raises:
            CheckpointError: the last one, which names the best, is damaged.
        """
        checkpoints = self.folder / "checkpoints"
        names = sorted(entry.name for entry in checkpoints.glob("[0-9]*")) if checkpoints.is_dir() else []
        if not names:
            return None
        last = checkpoints / names[-1]
        return checkpoints / (load_position(last).best or names[-1]) if best else last

    def finish(self) -> None:
        """Note that all epochs are done."""
        self.card = replace(self.card, finished=True, diverged=None)
        self._write_card()

    def note_divergence(self, where: str) -> None:
        """Note that it diverged, so that a sweep does not try it again; its checkpoints are from before that."""
        self.card = replace(self.card, diverged=where)
        self._write_card()

    def log(self, metrics: dict[str, Any]) -> None:
        """Append a line to `metrics.jsonl`; a line of the same epoch from before a crash is replaced."""
        lines = [line for line in self.metrics() if line["epoch"] < metrics["epoch"]]
        content = "".join(json.dumps(line) + "\n" for line in [*lines, metrics])
        write_atomically(self.folder / "metrics.jsonl", content)

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`, one an epoch."""
        path = self.folder / "metrics.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

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
            found = f"run format {fields['format_version']}, this version reads {FORMAT_VERSION}"
            raise MismatchError(f"{folder}: {found}; train another, or use the version of sketchpipe that made it")
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
    numbered = [(int(match[1]), entry) for entry in runs.iterdir() if (match := RUN_NAME.fullmatch(entry.name))]
    return [entry for _, entry in sorted(numbered) if (entry / "run.json").exists()]


def newest_run(runs: Path = RUNS) -> Run:
    """The run whose last checkpoint is the newest; runs of another format are passed over.

    Raises:
        InputError: there is none.
        MismatchError: there are only runs of another format.
    """
    trained, other = [], None
    for number, folder in enumerate(list_runs(runs)):
        try:
            run = open_run(folder)
        except MismatchError as error:
            other = error
            continue
        last = run.checkpoint(best=False)
        if last is not None:
            trained.append((last.stat().st_mtime_ns, number, run))
    if trained:
        return max(trained, key=lambda one: one[:2])[2]
    if other is not None:
        raise other
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
    numbers = [int(match[1]) for entry in runs.glob("*") if (match := RUN_NAME.fullmatch(entry.name))]
    return runs / f"{max(numbers, default=0) + 1:03d}-{network}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 60 else text[:56] + " ..."
