"""Reads and writes checkpoints: arrays, position, configuration, and a manifest of their SHA-256.

Neither safetensors nor Orbax notices a flipped bit. The manifest reveals it, and holds its own checksum. A folder gets
the name of a checkpoint only when it is complete. `state.py` packs and reads the arrays; nothing here needs JAX.

arrays.safetensors  step, parameters, batch statistics, the optimizer's state
position.json       the progress of the run
config.json         the run's whole configuration: recipe, classes, render settings
manifest.json       the SHA-256 of these three files
"""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from model.runs.card import CONFIG, LIMIT, MOST_EPOCHS, check_settings
from model.runs.sealed_folder import SealedFolder, write_sealed
from pipeline.errors import CheckpointError, OutputError
from pipeline.storage.fields import optional, real, record, text, whole
from pipeline.storage.sealed import parse_object

if TYPE_CHECKING:
    from model.config import TrainConfig

_Parsed = TypeVar("_Parsed")
CHECKPOINTS = "checkpoints"  # the folder of checkpoints in that of a run
CHECKPOINT_NAME = re.compile(r"[0-9]{5,10}-[0-9]{7,18}")  # its epoch and its step
ARRAYS, POSITION = "arrays.safetensors", "position.json"


@dataclass(frozen=True)
class Position:
    """The progress of a run.

    Attributes:
        epoch: the current epoch, from 0.
        step: the next step in that epoch, from 0.
        seconds: the time spent training so far.
        validation_top1: the top-1 of the last validation; None before the first.
        best_top1: the best validation top-1 so far; None before the first.
        best: the name of the best checkpoint so far; None before the first validation.
        loss_sum: the sum of the losses of this epoch's steps before `step`; None between epochs and in format 4.
        accuracy_sum: the same of their accuracies.
    """

    epoch: int
    step: int
    seconds: float
    validation_top1: float | None = None
    best_top1: float | None = None
    best: str | None = None
    loss_sum: float | None = None
    accuracy_sum: float | None = None


_FIELDS = record(
    {
        "epoch": whole(0, MOST_EPOCHS),
        "step": whole(),
        "seconds": real(0),
        "validation_top1": optional(real(0, 1)),
        "best_top1": optional(real(0, 1)),
        "best": optional(text(pattern=CHECKPOINT_NAME)),
        "loss_sum": optional(real()),
        "accuracy_sum": optional(real()),
    },
    may_lack=("loss_sum", "accuracy_sum"),  # in format 4
)


def save_checkpoint(folder: Path, arrays: bytes, position: Position, config: "TrainConfig") -> None:
    """Write a checkpoint to `folder`, which must not exist and appears only when the checkpoint is complete.

    Args:
        folder: the checkpoint.
        arrays: a training state, as `model.runs.state.pack_state` packs it.
        position: the progress of the run.
        config: the configuration of the run.

    Raises:
        OutputError: it cannot be written; no part of it is left.
    """
    contents: dict[str, bytes] = {
        ARRAYS: arrays,
        POSITION: json.dumps(asdict(position), indent=1).encode(),
        CONFIG: config.to_json().encode(),
    }
    try:
        write_sealed(folder, contents)
    except OSError as error:
        raise OutputError(
            f"{folder}: the checkpoint cannot be written ({error.strerror or error}); "
            "make room, then resume from the one before with the same command"
        ) from error


def load_position(folder: Path) -> Position:
    """Read the position of a checkpoint.

    Raises:
        CheckpointError: its file is missing or damaged, or is that of another checkpoint.
    """
    position = _parsed(folder, POSITION, _position)
    if checkpoint_name(position) != folder.name:
        raise CheckpointError(
            f"{folder / POSITION}: damaged (it is of checkpoint {checkpoint_name(position)}); {remedy(folder)}"
        )
    return position


def load_config(folder: Path) -> "TrainConfig":
    """Read the configuration of a checkpoint.

    Raises:
        CheckpointError: its file is missing or damaged.
    """
    from model.config import TrainConfig  # which imports kernels

    def parse(content: str) -> TrainConfig:
        check_settings(parse_object(content))
        return TrainConfig.from_json(content)

    return _parsed(folder, CONFIG, parse)


def digest_of(folder: Path) -> str:
    """The SHA-256 of a checkpoint's arrays, from its manifest.

    Raises:
        CheckpointError: the manifest is missing or damaged.
    """
    return _sealed(folder).hashes[ARRAYS]


def read_checked(folder: Path, name: str, limit: int = LIMIT) -> bytes:
    """Read a file of a checkpoint, which has at most `limit` bytes, and check it against the manifest.

    Raises:
        CheckpointError: the file or the manifest is missing or damaged.
    """
    return _sealed(folder).read(name, limit)


def _position(content: str) -> Position:
    fields = parse_object(content)
    _FIELDS("", fields)
    return Position(**fields)


def _parsed(folder: Path, name: str, parse: Callable[[str], _Parsed]) -> _Parsed:
    content = read_checked(folder, name)
    try:
        return parse(content.decode())
    except ValueError as error:
        raise CheckpointError(f"{folder / name}: damaged ({error}); {remedy(folder)}") from error


def _sealed(folder: Path) -> SealedFolder:
    return SealedFolder(folder, (ARRAYS, POSITION, CONFIG), remedy(folder), no_links=(folder.parent, folder))


def remedy(folder: Path) -> str:
    """What to do about a damaged checkpoint, for the end of a message."""
    return f"remove {folder} to resume from the checkpoint before it, if there is one, or train a new run"


def last_checkpoint(run: Path) -> Path | None:
    """The last checkpoint in a run's folder, which is not read; None before the first."""
    folder = run / CHECKPOINTS
    entries = folder.iterdir() if folder.is_dir() else []
    found = [folder / entry.name for entry in entries if CHECKPOINT_NAME.fullmatch(entry.name)]
    return max(found, key=position_of, default=None)


def checkpoint_name(position: Position) -> str:
    """The name of the folder of the checkpoint at a position."""
    return f"{position.epoch:05d}-{position.step:07d}"


def position_of(checkpoint: Path) -> tuple[int, int]:
    """The epoch and the step that the name of a checkpoint's folder says."""
    epoch, step = map(int, checkpoint.name.split("-"))
    return epoch, step
