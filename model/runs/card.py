"""Reads and writes `run.json`, which holds its own checksum, and `config.json`, whose checksum it holds too.

It imports neither JAX nor kernels, so that many runs are listed in a fraction of a second.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import CheckpointError, MismatchError
from pipeline.storage.fields import (
    FLAG,
    PATH,
    SHA256,
    Check,
    FieldError,
    each,
    optional,
    real,
    record,
    text,
    values,
    whole,
)
from pipeline.storage.files import write_atomically
from pipeline.storage.reading import UnfitFileError, read_limited
from pipeline.storage.sealed import CHECKSUM, seal, unseal
from pipeline.wording import counted

if TYPE_CHECKING:
    from model.config import TrainConfig

CARD, CONFIG = "run.json", "config.json"
FORMAT_VERSION = 5  # of a run's folder. 5: `added` in run.json, sums of an epoch in position.json
READABLE = (4, FORMAT_VERSION)  # 4: run.json has its own checksum and that of config.json
LIMIT = 1 << 26  # bytes of a JSON file of a run; one with the words of 345 classes has 6,000
MOST_EPOCHS = 10**9
_ADDED = record({"epochs": whole(1, MOST_EPOCHS), "lr": real(0, 1), "warmup": real(0, 0.9)})
_FIELDS = record(
    {
        "shards": PATH,
        "shards_path": PATH,
        "shards_checksum": text(64),  # is only compared
        "synthetic": FLAG,
        "versions": values(text(100)),
        "finished": FLAG,
        "splits": optional(text(100)),
        "diverged": optional(text(1000)),
        "format_version": whole(),
        "added": each(_ADDED, most=10_000),
        "config_sha256": SHA256,
    },
    may_lack=("added",),  # in format 4
)
# What every format's configuration has; `TrainConfig` checks the rest, and all of it more closely.
_SETTINGS: Mapping[str, Check] = {
    "network": text(100),
    "classes": each(text(), most=1 << 16),  # labels have 16 bits
    "epochs": whole(1, MOST_EPOCHS),
}


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
    """Read `run.json` and `config.json`, and check their fields and their checksums, which formats before 4 lack."""
    fields, content, is_whole, fault = _read_object(folder / CARD)
    version = fields.get("format_version")
    # A file of a format before 4 has no checksum. If there is one, it must be right.
    if not fault and (version in READABLE or f'"{CHECKSUM}"' in content) and not is_whole:
        fault = "does not match its checksum"
    if not fault and "format_version" not in fields:
        fault = "names no format_version"
    if not fault:
        fault = _fault_of(lambda: whole()("format_version", version))
    if not fault and version in READABLE:
        fault = _fault_of(lambda: _FIELDS("", fields))
    settings, config, _, settings_fault = _read_object(folder / CONFIG)
    if not settings_fault:
        settings_fault = _fault_of(lambda: check_settings(settings))
        settings = {} if settings_fault else settings
    if not settings_fault and version in READABLE and _sha256(config) != fields.get("config_sha256"):
        settings_fault = f"does not match the SHA-256 in {CARD}"
    return StoredCard({} if fault else fields, fault, settings, config, settings_fault)


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check the fields of a `config.json` of any format: that nothing in it is too large to be shown or compared.

    Raises:
        FieldError: one is missing, or of another type, or out of range.
    """
    for name in _SETTINGS:
        if name not in settings:
            raise FieldError(f"{name} is missing")
    for name, value in settings.items():
        if name in _SETTINGS:
            _SETTINGS[name](name, value)
        elif isinstance(value, bool | str | None):
            optional(text(2000))(name, None if isinstance(value, bool) else value)
        else:
            real()(name, value)


def read_card(folder: Path) -> "tuple[RunCard, TrainConfig]":
    """Read `run.json` and `config.json` of a run that is neither damaged nor of another format.

    Raises:
        CheckpointError: one of the files is damaged.
        MismatchError: the run is of a format that this version does not read.
    """
    from model.config import TrainConfig  # which imports kernels, as the next one does
    from model.specs import network_spec

    stored = read_stored(folder)
    if stored.is_other_format:
        raise MismatchError(
            f"{folder}: {other_format(stored.fields['format_version'])}; "
            "train a new run, or use the version of sketchpipe that made it"
        )
    fields = {name: value for name, value in stored.fields.items() if name != "config_sha256"}
    fields["added"] = added_of(stored)
    remedy = "copy it from another run of the same configuration and shards, or train a new run"
    with _damage_said(folder / CARD, stored.fault, remedy):
        card = RunCard(**fields)
    with _damage_said(folder / CONFIG, stored.settings_fault, f"copy the {CONFIG} of one of its checkpoints over it"):
        config = TrainConfig.from_json(stored.settings_text)
        network_spec(config.network)
        return card, config


def added_of(stored: StoredCard) -> tuple[Added, ...]:
    """What `run.json` says was added to the epochs; nothing if it is damaged or of another format."""
    return (
        () if stored.fault or stored.is_other_format else tuple(Added(**one) for one in stored.fields.get("added", ()))
    )


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


def _fault_of(check: Callable[[], None]) -> str:
    """What a check finds wrong, for the end of a sentence that begins with the name of the file."""
    try:
        check()
    except FieldError as error:
        return f"has a field that is wrong ({error})"
    return ""


def _read_object(path: Path) -> tuple[dict[str, Any], str, bool, str]:
    """A file's JSON object, its text, whether its checksum is right, and what is wrong with the file, if anything."""
    try:
        content = read_limited(path, LIMIT, link=False).decode()
        fields, is_whole = unseal(content)
        return fields, content, is_whole, ""
    except FileNotFoundError:
        fault = "is missing"
    except UnfitFileError as error:
        fault = str(error.strerror)
    except OSError as error:
        fault = f"cannot be read ({error.strerror})"
    except ValueError:
        fault = "is no JSON object"
    return {}, "", False, fault


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
