"""Reads and writes `run.json`, which holds its own checksum, and `config.json`, whose checksum it holds too.

It imports neither JAX nor kernels, so that many runs are listed in a fraction of a second.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import CheckpointError, MismatchError
from pipeline.storage.files import write_atomically
from pipeline.storage.sealed import CHECKSUM, seal, unseal
from pipeline.wording import counted

if TYPE_CHECKING:
    from model.config import TrainConfig

CARD, CONFIG = "run.json", "config.json"
FORMAT_VERSION = 5  # of a run's folder. 5: `added` in run.json, sums of an epoch in position.json
READABLE = (4, FORMAT_VERSION)  # 4: run.json has its own checksum and that of config.json
_KINDS = {"network": str, "classes": list, "epochs": int}  # what every format's configuration has


@dataclass(frozen=True, kw_only=True)
class Added:
    """Epochs that were added to a finished run: its rate rises from near 0 to `lr`, then falls by half a cosine to 0.

    Attributes:
        epochs: the epochs of the whole run, with these and all earlier ones.
        lr: the peak of the learning rate in these epochs.
        warmup: the share of their steps that the rise takes.
    """

    epochs: int
    lr: float
    warmup: float


@dataclass(frozen=True)
class RunCard:
    """The content of `run.json`, apart from checksums.

    Attributes:
        shards: the folder of shards that the run was trained on, as the user named it.
        shards_path: the absolute path of that folder.
        shards_checksum: the checksum of that folder's manifest.
        synthetic: whether those drawings are the built-in sample's.
        versions: of sketchpipe and of the libraries that trained the run.
        finished: whether all epochs are done.
        splits: the shares by which those shards were split; None if that is not known.
        diverged: the step at which the loss or a weight was no longer finite; None if the run has not diverged.
        format_version: the format of the run's folder.
        added: what was added to the epochs of `config.json`, in order.
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
    added: tuple[Added, ...] = ()

    def __post_init__(self) -> None:
        added = (Added(**one) if isinstance(one, dict) else one for one in self.added)
        object.__setattr__(self, "added", tuple(added))


@dataclass(frozen=True)
class StoredCard:
    """What could be read of `run.json` and `config.json`, which may be damaged or of another format.

    Attributes:
        fields: the fields of `run.json`; empty if it cannot be read.
        fault: what is wrong with `run.json`; empty if nothing is.
        settings: the fields of `config.json`; empty if it cannot be read.
        settings_text: the text of `config.json`.
        settings_fault: what is wrong with `config.json`; empty if nothing is.
    """

    fields: Mapping[str, Any]
    fault: str
    settings: Mapping[str, Any]
    settings_text: str
    settings_fault: str

    @property
    def is_other_format(self) -> bool:
        """Whether the run was made by a version of sketchpipe with another run format."""
        return not self.fault and self.fields["format_version"] not in READABLE


def write_card(folder: Path, card: RunCard, config: "TrainConfig") -> None:
    """Write `run.json`.

    Raises:
        OSError: it cannot be written; an earlier one is unchanged.
    """
    write_atomically(folder / CARD, seal({**asdict(card), "config_sha256": _sha256(config.to_json())}))


def read_stored(folder: Path) -> StoredCard:
    """Read `run.json` and `config.json`, and compare their checksums; formats before 4 have none."""
    fields, text, is_whole, fault = _read_object(folder / CARD)
    if not fault and "format_version" not in fields:
        fault = "names no format_version"
    version = fields.get("format_version")
    # A file of a format before 4 has no checksum. If there is one, it must be right.
    if not fault and (version in READABLE or f'"{CHECKSUM}"' in text) and not is_whole:
        fault = "does not match its checksum"
    settings, config, _, settings_fault = _read_object(folder / CONFIG)
    if not settings_fault and any(not isinstance(settings.get(name), kind) for name, kind in _KINDS.items()):
        settings, settings_fault = {}, f"lacks {', '.join(_KINDS)}, or has them with another type"
    if not settings_fault and version in READABLE and _sha256(config) != fields.get("config_sha256"):
        settings_fault = f"does not match the SHA-256 in {CARD}"
    return StoredCard(fields, fault, settings, config, settings_fault)


def read_card(folder: Path) -> "tuple[RunCard, TrainConfig]":
    """Read `run.json` and `config.json` of a run that is neither damaged nor of another format.

    Raises:
        CheckpointError: one of the files is damaged.
        MismatchError: the run is of a format that this version does not read.
    """
    from model.config import TrainConfig  # which imports kernels

    stored = read_stored(folder)
    if stored.is_other_format:
        raise MismatchError(
            f"{folder}: {other_format(stored.fields['format_version'])}; "
            "train a new run, or use the version of sketchpipe that made it"
        )
    fields = {name: value for name, value in stored.fields.items() if name != "config_sha256"}
    remedy = "copy it from another run of the same configuration and shards, or train a new run"
    with _damage_said(folder / CARD, stored.fault, remedy):
        card = RunCard(**fields)
    with _damage_said(folder / CONFIG, stored.settings_fault, f"copy the {CONFIG} of one of its checkpoints over it"):
        return card, TrainConfig.from_json(stored.settings_text)


def other_format(version: object) -> str:
    """What is said of a run of a format that this version does not read."""
    return f"run format {version}, this version reads {' and '.join(map(str, READABLE))}"


def stretches(epochs: int, added: Sequence[Added]) -> str:
    """The epochs of a run to which some were added, and the peak of the learning rate in these.

    >>> stretches(32, [Added(epochs=64, lr=0.002, warmup=0.05), Added(epochs=80, lr=0.001, warmup=0.05)])
    '32 epochs, then to 64 with a peak lr of 0.002, then to 80 with a peak lr of 0.001'
    """
    more = [f"then to {one.epochs:,} with a peak lr of {one.lr:g}" for one in added]
    return ", ".join([counted(epochs, "epoch"), *more])


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
