"""A run's folder: its card, its configuration and its checkpoints. docs/runs.md describes every file.

run.json         shards, versions, whether it is finished, and the checksums of itself and of config.json
config.json      the whole configuration
metrics.jsonl    a line for each epoch, for people and charts; neither training nor prediction uses it
train/, validation/    the same for TensorBoard, if tensorboardX is installed
calibration.json the temperature of its probabilities, if one was fitted
checkpoints/     the last and the best, named by their epoch and step; the position of the last one names the best
lock             locked by the process that trains the run
"""

import contextlib
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.runs.card import CARD, CONFIG, FORMAT_VERSION, Added, RunCard, read_card, write_card
from model.runs.checkpoint import (
    CHECKPOINT_NAME,
    CHECKPOINTS,
    Position,
    checkpoint_name,
    last_checkpoint,
    load_config,
    load_position,
    position_of,
    save_checkpoint,
)
from model.runs.differences import listed, other_settings
from model.runs.log import append_metrics, read_log
from model.runs.weights import name_of
from pipeline.errors import InputError, LockedError, MismatchError, OutputError, SketchpipeError
from pipeline.shards.manifest import Manifest, read_manifest
from pipeline.storage.files import write_atomically, writing
from pipeline.storage.locks import locked_file
from pipeline.storage.reading import UnfitFileError, refuse_unfit_entries

if TYPE_CHECKING:  # they import JAX and kernels, which finding runs must not
    from model.compute.steps import TrainState
    from model.config import TrainConfig

METRICS, LOCK = "metrics.jsonl", "lock"
UNTRAINED = "00000-0000000"  # the checkpoint that a run with --start begins with


@dataclass
class Run:
    """A run on disk.

    Attributes:
        folder: its folder.
        config: the content of its `config.json`.
        card: the content of its `run.json`.
        about: the card of weights without their training, which have no checkpoint; None for every other run.
    """

    folder: Path
    config: "TrainConfig"
    card: RunCard
    about: Mapping[str, Any] | None = None

    @property
    def epochs(self) -> int:
        """The epochs of the whole run, with those that were added to it."""
        return self.card.added[-1].epochs if self.card.added else self.config.epochs

    @property
    def lr(self) -> float:
        """The peak of the learning rate in the epochs that were planned last."""
        return self.card.added[-1].lr if self.card.added else self.config.lr

    def refuse_weights(self) -> None:
        """Raise a `MismatchError` if this is weights without their training."""
        if self.about is not None:
            raise MismatchError(
                f"{self.folder}: weights without their training, which cannot be resumed; train a new run that starts "
                f"from them with --start {shlex.quote(name_of(self.folder))}"
            )

    def without_unbegun(self) -> "Run":
        """This run without the epochs that were added last, if no step of them was done; nothing is written."""
        if not self.card.added or self.card.finished:
            return self
        before = replace(self, card=replace(self.card, finished=True, added=self.card.added[:-1]))
        last = self.last_checkpoint()
        return before if last is not None and position_of(last) == (before.epochs, 0) else self

    @property
    def is_done(self) -> bool:
        """Whether training has ended: all epochs are done, or the loss or a weight diverged."""
        return self.card.finished or self.card.diverged is not None

    def create(self) -> None:
        """Make the folder. `run.json` is written last; files of a process that was killed before that are overwritten.

        Raises:
            LockedError: another process is making the run, or has just made it.
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

    def write_added(self, replaces: Added | None = None) -> None:
        """Record in `run.json` the last of `card.added`, which turns a finished run into one that can be resumed.

        Args:
            replaces: the epochs that were added before and of which no step was done; None if there are none.

        Raises:
            LockedError: another process is training the run, or has changed it since it was opened.
            OutputError: it cannot be written; the run stays finished.
        """
        with self.locked():
            before = (*self.card.added[:-1], *([] if replaces is None else [replaces]))
            if read_card(self.folder)[0].added != before:
                raise LockedError(f"{self.folder}: another process has just added epochs; run the command again")
            self._rewrite_card("make room, then run the same command", finished=False)

    def update_format(self) -> None:
        """Record in `run.json` that files of the present format may follow, if the run is of an older format.

        Raises:
            OutputError: it cannot be written.
        """
        if self.card.format_version != FORMAT_VERSION:
            self._rewrite_card("make room, then run the same command")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """A context in which no other process can train the run.

        Raises:
            LockedError: another process is training it. The lock of a process that has ended does not count.
            MismatchError: it is weights without their training.
            OutputError: the lock file cannot be written, or something in the run's folder is a link, a pipe, a device
                or a socket. The folder itself may be a link, because the user named it.
        """
        self.refuse_weights()
        with contextlib.ExitStack() as held:
            with writing(self.folder / LOCK, "make room, or move the run to a disk that can be written"):
                try:
                    refuse_unfit_entries(self.folder)
                except UnfitFileError as error:
                    raise OutputError(
                        f"{error.filename}: {error.strerror}; nothing is written in a run that holds one: remove it, "
                        "or replace a link by a copy of what it points to"
                    ) from error
                held.enter_context(locked_file(self.folder / LOCK, self._busy))
            yield

    def _busy(self, pid: str) -> str:
        return f"{self.folder}: process {pid} is training it; wait for it, or train another run"

    def shards_folder(self) -> Path:
        """The folder of the shards that the run was trained on.

        It is looked for by the name that the user gave, below the current folder and below each parent of the run's
        folder, and by its former absolute path. The first folder with the right checksum is returned, or else the first
        that exists.

        Raises:
            InputError: no such folder exists, or the run is weights without their training.
        """
        if self.about is not None:
            raise InputError(f"{self.folder}: has weights, but no shards; name some by --shards")
        named = Path(self.card.shards)
        around = self.folder.resolve().parents
        found = [
            folder
            for folder in (named, Path(self.card.shards_path), *(parent / named for parent in around))
            if os.path.isdir(folder)  # noqa: PTH112 - Path.is_dir raises an error if the path is too long
        ]
        for folder in found:
            with contextlib.suppress(SketchpipeError):
                if read_manifest(folder).checksum == self.card.shards_checksum:
                    return folder
        if found:
            return found[0]
        raise InputError(f"{named}: the shards that {self.folder} was trained on are missing; name others by --shards")

    def check_splits(self, manifest: Manifest, folder: Path) -> None:
        """Check that shards were split as the run's own, so that their test split has no drawing of its training.

        Raises:
            MismatchError: they were split in another way.
        """
        splits = manifest.options["splits"]
        if self.card.splits is not None and splits != self.card.splits:
            raise MismatchError(
                f"{folder}: split {splits}, but {self.folder} was trained on shards split {self.card.splits}: drawings "
                f"of its training may be in any split here; build them with --splits {self.card.splits}, or use "
                "--split all"
            )

    def save(self, state: "TrainState", position: Position, *, best: bool) -> Position:
        """Write a checkpoint, and remove all others but the best.

        Returns:
            The position as it was stored, which names this checkpoint as the best if it is.

        Raises:
            OutputError: it cannot be written; the earlier checkpoints are unchanged.
        """
        from model.runs.state import pack_state  # with JAX

        name = checkpoint_name(position)
        # A single rename adds the checkpoint and says which is the best, so a crash cannot separate the two.
        position = replace(position, best=name if best else position.best)
        self._refuse_gone()  # a checkpoint would bring back a part of the folder
        save_checkpoint(self.folder / CHECKPOINTS / name, pack_state(state), position, self.config)
        self.prune(name, position.best)
        return position

    def note_version(self, name: str, version: str | None) -> None:
        """Record a version in `run.json`, if it is another than the one there.

        Raises:
            OutputError: it cannot be written.
        """
        if version is not None and self.card.versions.get(name) != version:
            self._rewrite_card("make room", versions={**self.card.versions, name: version})

    def prune(self, last: str, best: str | None) -> None:
        """Remove every checkpoint but these two, and incomplete ones of processes that were killed.

        Raises:
            OutputError: one cannot be removed.
        """
        with self._writing(self.folder / CHECKPOINTS, "make sure that its files can be removed"):
            for entry in (self.folder / CHECKPOINTS).iterdir():
                whole_name = entry.name.removeprefix(".").partition(".")[0]
                if entry.name not in (last, best) and CHECKPOINT_NAME.fullmatch(whole_name):
                    shutil.rmtree(entry)

    def checkpoint(self, *, best: bool) -> Path | None:
        """The best or the last checkpoint; None before the first. If the best was removed, the last counts as the best.

        Raises:
            CheckpointError: the last one, which names the best, is damaged, or the configuration of the best is.
            MismatchError: the configuration of the checkpoint is not that of the run.
        """
        last = self.last_checkpoint()
        if last is None:
            return None
        found = last
        if best and (name := load_position(last).best) is not None and (last.parent / name).is_dir():
            found = last.parent / name
        if differ := other_settings(load_config(found), self.config, ("in it", "in the run")):
            raise MismatchError(
                f"{found}: a checkpoint of another configuration ({listed(differ)}); restore the run's own, or "
                "remove it to resume from the one before"
            )
        return found

    def last_checkpoint(self) -> Path | None:
        """The folder of the last checkpoint, which is not read; None before the first."""
        return last_checkpoint(self.folder)

    def finish(self) -> None:
        """Record in `run.json` that all epochs are done.

        Raises:
            OutputError: it cannot be written.
        """
        self._rewrite_card(
            "make room, then run the same command, which records that the run is done", finished=True, diverged=None
        )

    def note_divergence(self, where: str) -> None:
        """Record in `run.json` that the run diverged, so that a sweep does not train it again.

        Raises:
            OutputError: it cannot be written.
        """
        self._rewrite_card("make room", diverged=where)

    def _rewrite_card(self, remedy: str, **changes: Any) -> None:
        self.card = replace(self.card, format_version=FORMAT_VERSION, **changes)
        with self._writing(self.folder / CARD, remedy):
            write_card(self.folder, self.card, self.config)

    @contextlib.contextmanager
    def _writing(self, path: Path, remedy: str) -> Iterator[None]:
        """As `writing`, but if the run's folder is gone, the error says that instead."""
        try:
            with writing(path, remedy):
                yield
        except OutputError:
            self._refuse_gone()
            raise

    def _refuse_gone(self) -> None:
        if not (self.folder / CARD).exists():
            raise OutputError(
                f"{self.folder}: this folder was removed or renamed while its run was trained; if renamed, resume "
                "the run with `sketchpipe train --resume --run DIR`, otherwise train a new run"
            ) from None

    def log(self, metrics: dict[str, Any]) -> None:
        """Append a line to `metrics.jsonl`, replacing a line of the same epoch from before a crash.

        Raises:
            OutputError: it cannot be written; the file is unchanged.
        """
        with self._writing(
            self.folder / METRICS, "make room, then resume from the last checkpoint with the same command"
        ):
            append_metrics(self.folder / METRICS, metrics)

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl` that can be read."""
        path = self.folder / METRICS
        return read_log(path)[0] if path.exists() else []
