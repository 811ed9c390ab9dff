"""A run's folder: its card, its configuration and its checkpoints. docs/runs.md describes every file.

run.json         shards, versions, whether it is finished; proves itself and config.json
config.json      the whole configuration
metrics.jsonl    a line an epoch, for people and charts: nothing is trained or predicted by it
train/, validation/    the same for TensorBoard, where tensorboardX is installed
calibration.json the temperature of its probabilities, where one was fitted
checkpoints/     the last and the best, by their epoch and step; the last one's position names the best
lock             held by the process that trains the run
"""

import contextlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.runs.card import CARD, CONFIG, RunCard, read_card, write_card
from model.runs.checkpoint import Position, load_config, load_position, save_checkpoint
from model.runs.log import append_metrics, read_log
from pipeline.errors import InputError, LockedError, MismatchError, SketchpipeError
from pipeline.shards.manifest import Manifest, read_manifest
from pipeline.storage.files import partial_path, write_atomically, writing
from pipeline.storage.locks import locked_file

if TYPE_CHECKING:  # JAX and kernels, without which runs are found
    from model.compute.steps import TrainState
    from model.config import TrainConfig

METRICS, CHECKPOINTS, LOCK = "metrics.jsonl", "checkpoints", "lock"
UNTRAINED = "00000-0000000"  # the checkpoint that a run with --start begins with
_CHECKPOINT = re.compile(r"\d{5,}-\d{7,}")
_MADE_FIRST = {LOCK, CHECKPOINTS, CONFIG, *(partial_path(Path(name)).name for name in (CONFIG, CARD))}


@dataclass
class Run:
    """A run on disk."""

    folder: Path
    config: "TrainConfig"
    card: RunCard

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to train: all epochs are done, or it diverged."""
        return self.card.finished or self.card.diverged is not None

    def create(self) -> None:
        """Make the folder; `run.json`, written last, makes it a run. What a killed process began of it is written over.

        Raises:
            LockedError: another process is making it, or just has.
            OutputError: it cannot be written.
        """
        with writing(self.folder, "choose another --run"):
            self.folder.mkdir(parents=True, exist_ok=True)
        with self.locked(), writing(self.folder, "choose another --run"):
            if (self.folder / CARD).exists():
                raise LockedError(f"{self.folder}: another process has just begun it; run the command again")
            (self.folder / CHECKPOINTS).mkdir(exist_ok=True)
            write_atomically(self.folder / CONFIG, self.config.to_json())
            write_card(self.folder, self.card, self.config)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for one process that trains it.

        Raises:
            LockedError: another process holds it. A dead process's lock is nobody's.
            OutputError: the lock cannot be written.
        """
        with contextlib.ExitStack() as held:
            with writing(self.folder / LOCK, "make room, or move the run to a disk that can be written"):
                held.enter_context(locked_file(self.folder / LOCK, self._busy))
            yield

    def _busy(self, pid: str) -> str:
        return f"{self.folder}: process {pid} is training it; wait for it, or train another run"

    def shards_folder(self) -> Path:
        """Where the shards lie that the run was trained on.

        As they were named, from here or from a folder around the run's, or where they were then: the first that has
        their checksum, else the first that is there.

        Raises:
            InputError: there is none.
        """
        named = Path(self.card.shards)
        around = self.folder.resolve().parents
        found = [
            folder
            for folder in (named, Path(self.card.shards_path), *(parent / named for parent in around))
            if folder.is_dir()
        ]
        for folder in found:
            with contextlib.suppress(SketchpipeError):
                if read_manifest(folder).checksum == self.card.shards_checksum:
                    return folder
        if found:
            return found[0]
        raise InputError(f"{named}: the shards that {self.folder} was trained on are gone; name others with --shards")

    def check_splits(self, manifest: Manifest, folder: Path) -> None:
        """Refuse shards that were split in another way, whose test split holds drawings that the run was trained on.

        Raises:
            MismatchError: they were.
        """
        splits = manifest.options["splits"]
        if self.card.splits is not None and splits != self.card.splits:
            raise MismatchError(
                f"{folder}: split {splits}, but {self.folder} was trained on shards split {self.card.splits}: what it "
                f"was trained on may be in any split here; build them with --splits {self.card.splits}, or say "
                "--split all"
            )

    def save(self, state: "TrainState", position: Position, *, best: bool) -> Position:
        """Write a checkpoint and remove those that are neither the last nor the best.

        Returns:
            The position as it was stored: it names this checkpoint as the best, if it is.

        Raises:
            OutputError: it cannot be written; those before it stand.
        """
        from model.runs.state import pack_state  # with JAX

        name = f"{position.epoch:05d}-{position.step:07d}"
        # One rename makes the checkpoint and says which is the best: no crash can part the two.
        position = replace(position, best=name if best else position.best)
        save_checkpoint(self.folder / CHECKPOINTS / name, pack_state(state), position, self.config)
        self.prune(name, position.best)
        return position

    def prune(self, last: str, best: str | None) -> None:
        """Remove every checkpoint but these two, and what killed processes left half written.

        Raises:
            OutputError: one cannot be removed.
        """
        with writing(self.folder / CHECKPOINTS, "see that what is in it can be removed"):
            for entry in (self.folder / CHECKPOINTS).iterdir():
                whole_name = entry.name.removeprefix(".").partition(".")[0]
                if entry.name not in (last, best) and _CHECKPOINT.fullmatch(whole_name):
                    shutil.rmtree(entry)

    def checkpoint(self, *, best: bool) -> Path | None:
        """The best or the last checkpoint; None before the first. Where the best was removed, the last is the best.

        Raises:
            CheckpointError: the last one, which names the best, is damaged, or the configuration of the best is.
            MismatchError: it is of another configuration than the run.
        """
        last = self.last_checkpoint()
        if last is None:
            return None
        found = last
        if best and (name := load_position(last).best) is not None and (last.parent / name).is_dir():
            found = last.parent / name
        if differ := _other_settings(load_config(found), self.config, ("in it", "in the run")):
            raise MismatchError(
                f"{found}: a checkpoint of another configuration ({'; '.join(differ)}); bring back the run's own, or "
                "remove it to resume from the one before"
            )
        return found

    def last_checkpoint(self) -> Path | None:
        """Where the last checkpoint lies, nothing of it read; None before the first."""
        return last_checkpoint(self.folder)

    def finish(self) -> None:
        """Note that all epochs are done.

        Raises:
            OutputError: it cannot be written.
        """
        self._rewrite_card(
            "make room, then run the same command, which notes that the run is done", finished=True, diverged=None
        )

    def note_divergence(self, where: str) -> None:
        """Note that it diverged, so that a sweep does not try it again; its checkpoints are from before that.

        Raises:
            OutputError: it cannot be written.
        """
        self._rewrite_card("make room", diverged=where)

    def _rewrite_card(self, remedy: str, **changes: Any) -> None:
        self.card = replace(self.card, **changes)
        with writing(self.folder / CARD, remedy):
            write_card(self.folder, self.card, self.config)

    def log(self, metrics: dict[str, Any]) -> None:
        """Append a line to `metrics.jsonl`; a line of the same epoch from before a crash is replaced.

        Raises:
            OutputError: it cannot be written; the lines before stand.
        """
        with writing(self.folder / METRICS, "make room, then resume from the last checkpoint with the same command"):
            append_metrics(self.folder / METRICS, metrics)

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`, but those that cannot be read."""
        path = self.folder / METRICS
        return read_log(path)[0] if path.exists() else []


def last_checkpoint(run: Path) -> Path | None:
    """Where the last checkpoint in a run's folder lies, nothing of it read; None before the first."""
    folder = run / CHECKPOINTS
    entries = folder.iterdir() if folder.is_dir() else []
    names = [entry.name for entry in entries if _CHECKPOINT.fullmatch(entry.name)]
    return folder / max(names, key=lambda name: tuple(map(int, name.split("-")))) if names else None


def open_run(folder: Path) -> Run:
    """The run in a folder.

    Raises:
        InputError: there is none.
        CheckpointError: its files are damaged.
        MismatchError: it is of a format that this version does not read.
    """
    if not (folder / CARD).exists():
        raise InputError(f"{folder}: no run here; train one with `sketchpipe train`")
    card, config = read_card(folder)
    return Run(folder, config, card)


def differences(run: Run, config: "TrainConfig", card: RunCard) -> list[str]:
    """Where a run's configuration or shards are others than these, each as a phrase."""
    found = _other_settings(run.config, config, ("in the run", "here"))
    if run.card.shards_checksum != card.shards_checksum and run.config.classes == config.classes:
        found.append(f"other shards than {run.card.shards}")
    return found


def is_free(folder: Path) -> bool:
    """Whether a run can be made there: nothing is there, or what a process left that was killed before it was a run."""
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    names = {entry.name for entry in folder.iterdir()}
    begun = LOCK in names and names <= _MADE_FIRST and not any((folder / CHECKPOINTS).glob("*"))
    return not names or begun


def _other_settings(one: "TrainConfig", other: "TrainConfig", where: tuple[str, str]) -> list[str]:
    """Where two configurations differ, each as a phrase that says where the one and the other is from."""
    ours, theirs = asdict(one), asdict(other)
    return [
        f"{name} {_short(ours[name])} {where[0]}, {_short(theirs[name])} {where[1]}"
        for name in ours
        if ours[name] != theirs[name]
    ]


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 60 else text[:56] + " ..."
