"""What a run says of itself: `run.json`, which proves itself, and `config.json`, which `run.json` proves."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

from model.config import TrainConfig
from model.runs.overview import FORMAT_VERSION
from pipeline.errors import CheckpointError, MismatchError
from pipeline.storage.files import write_atomically
from pipeline.storage.sealed import seal, unseal

CARD, CONFIG = "run.json", "config.json"


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


def write_card(folder: Path, card: RunCard, config: TrainConfig) -> None:
    """Write `run.json`.

    Raises:
        OSError: it cannot be written; the one before stands.
    """
    config_sha256 = _sha256(config.to_json().encode())
    write_atomically(folder / CARD, seal({**asdict(card), "config_sha256": config_sha256}))


def read_card(folder: Path) -> tuple[RunCard, TrainConfig]:
    """What `run.json` and `config.json` say.

    Raises:
        CheckpointError: one of them is damaged.
        MismatchError: the run is of a format that this version does not read.
    """
    path = folder / CARD
    try:
        text = path.read_bytes().decode()  # not read_text, which mends line ends
        fields, is_whole = unseal(text)
        version = fields["format_version"]
        # Formats before 4 have no checksum: what has one, and another than its own, is damaged.
        if version != FORMAT_VERSION and (is_whole or '"checksum"' not in text):
            raise MismatchError(
                f"{folder}: run format {version}, this version reads {FORMAT_VERSION}; "
                "train another, or use the version of sketchpipe that made it"
            )
        if not is_whole:
            raise ValueError("another checksum than its own")
        config_sha256 = fields.pop("config_sha256")
        card = RunCard(**fields)
    except MismatchError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path}: damaged ({error}); copy it from another run of the same configuration and shards, or train anew"
        ) from error
    return card, _proved_config(folder, config_sha256)


def _proved_config(folder: Path, sha256: str) -> TrainConfig:
    """The configuration in a run's folder, which `run.json` has proved."""
    path = folder / CONFIG
    try:
        content = path.read_bytes()
        if _sha256(content) != sha256:
            raise ValueError(f"another SHA-256 than {CARD} says")
        return TrainConfig.from_json(content.decode())
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: damaged ({error}); copy the {CONFIG} of one of its checkpoints over it"
        ) from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
