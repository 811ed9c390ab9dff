"""Reads and writes `run.json`, which holds its own checksum, and `config.json`, whose checksum it holds too.

Without JAX and without kernels, so that many runs are listed at once.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import CheckpointError, MismatchError
from pipeline.storage.files import write_atomically
from pipeline.storage.sealed import CHECKSUM, seal, unseal

if TYPE_CHECKING:
    from model.config import TrainConfig

CARD, CONFIG = "run.json", "config.json"
FORMAT_VERSION = 4  # of a run's folder. 4: run.json proves itself and config.json; checkpoints have their own
_KINDS = {"network": str, "classes": list, "epochs": int}  # what every format's configuration has


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


@dataclass(frozen=True)
class StoredCard:
    """`run.json` and `config.json` as they stand there, damaged or of another format.

    Attributes:
        fields: of `run.json`; empty where it cannot be read.
        fault: what is wrong with `run.json`; empty where nothing is.
        settings: of `config.json`; empty where it cannot be read.
        settings_text: the text of that file.
        settings_fault: what is wrong with it.
    """

    fields: Mapping[str, Any]
    fault: str
    settings: Mapping[str, Any]
    settings_text: str
    settings_fault: str

    @property
    def is_other_format(self) -> bool:
        """Whether a version of sketchpipe made the run that has another format."""
        return not self.fault and self.fields["format_version"] != FORMAT_VERSION


def write_card(folder: Path, card: RunCard, config: "TrainConfig") -> None:
    """Write `run.json`.

    Raises:
        OSError: it cannot be written; the one before stands.
    """
    write_atomically(folder / CARD, seal({**asdict(card), "config_sha256": _sha256(config.to_json())}))


def read_stored(folder: Path) -> StoredCard:
    """What is left of `run.json` and `config.json`; each is proved, but those of formats that proved nothing."""
    fields, text, is_whole, fault = _read_object(folder / CARD)
    if not fault and "format_version" not in fields:
        fault = "names no format_version"
    version = fields.get("format_version")
    # Formats before 4 have no checksum: what has one, and another than its own, is damaged.
    if not fault and (version == FORMAT_VERSION or f'"{CHECKSUM}"' in text) and not is_whole:
        fault = "has another checksum than its own"
    settings, config, _, settings_fault = _read_object(folder / CONFIG)
    if not settings_fault and any(not isinstance(settings.get(name), kind) for name, kind in _KINDS.items()):
        settings, settings_fault = {}, f"lacks {', '.join(_KINDS)}, or they are of another type"
    if not settings_fault and version == FORMAT_VERSION and _sha256(config) != fields.get("config_sha256"):
        settings_fault = f"has another SHA-256 than {CARD} says"
    return StoredCard(fields, fault, settings, config, settings_fault)


def read_card(folder: Path) -> "tuple[RunCard, TrainConfig]":
    """What `run.json` and `config.json` say.

    Raises:
        CheckpointError: one of them is damaged.
        MismatchError: the run is of a format that this version does not read.
    """
    from model.config import TrainConfig  # which imports kernels

    stored = read_stored(folder)
    if stored.is_other_format:
        raise MismatchError(
            f"{folder}: run format {stored.fields['format_version']}, this version reads {FORMAT_VERSION}; "
            "train another, or use the version of sketchpipe that made it"
        )
    fields = {name: value for name, value in stored.fields.items() if name != "config_sha256"}
    remedy = "copy it from another run of the same configuration and shards, or train anew"
    with _damage_said(folder / CARD, stored.fault, remedy):
        card = RunCard(**fields)
    with _damage_said(folder / CONFIG, stored.settings_fault, f"copy the {CONFIG} of one of its checkpoints over it"):
        return card, TrainConfig.from_json(stored.settings_text)


@contextlib.contextmanager
def _damage_said(path: Path, fault: str, remedy: str) -> Iterator[None]:
    try:
        if fault:
            raise ValueError(fault)
        yield
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: damaged ({error}); {remedy}") from error


def _read_object(path: Path) -> tuple[dict[str, Any], str, bool, str]:
    """A file's JSON object, its text, whether its checksum is right, and what is wrong with the file, if anything."""
    try:
        text = path.read_bytes().decode()  # not read_text, which changes line ends
        fields, is_whole = unseal(text)
        return fields, text, is_whole, ""
    except FileNotFoundError:
        fault = "is missing"
    except OSError as error:
        fault = f"cannot be read ({error.strerror})"
    except ValueError:
        fault = "is no JSON object"
    return {}, "", False, fault


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
