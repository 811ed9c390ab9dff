"""Summarizes the runs of a folder without JAX: settings, epochs and state, also of damaged and older runs.

Only the fields and checksums of `run.json` and `config.json` are checked here, so that a list of many runs is quick;
`evaluate` and `predict` check the files that they read.
"""

import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model.runs.card import CARD, CONFIG, Added, added_of, other_format, read_stored, stretches
from model.runs.folder import LOCK, METRICS
from model.runs.log import read_log
from model.runs.weights import BUILT_IN, WEIGHTS, has_weights, name_of, read_description
from pipeline.errors import SketchpipeError
from pipeline.storage.locks import holder_of
from pipeline.storage.reading import UnfitFileError, open_regular

_HEADER_BYTES = 1 << 24  # of a safetensors file, at most; that of sketchnet-large has 20,000
_PARAMETERS = 2**63  # more than any network has
# At most eight axes, and no two ways to match one text: a header that means harm is searched as quickly as any other.
_SHAPE = re.compile(rb'"params/[^"]*":\{[^{}]*"shape":\[((?:\d{1,19}(?:,\d{1,19}){0,7})?)\]')
_NAMED = 5  # the most skipped lines of metrics.jsonl that are listed


@dataclass(frozen=True)
class RunSummary:
    """A summary of a run's files.

    Attributes:
        folder: the folder of the run.
        state: "finished", "unfinished", "training" (another process is training it now), "diverged", "other format",
            "damaged", or "weights" (without their training).
        note: an explanation of the state, and the skipped lines of `metrics.jsonl`; may be empty.
        settings: the fields of `config.json`; empty if it cannot be read.
        shards: the folder of shards that it was trained on, as the user named it; None if that cannot be read.
        shards_checksum: the checksum of that folder's manifest; None if that cannot be read.
        epochs: the lines of `metrics.jsonl` that can be read, one for each epoch that is done, in order.
        parameters: the number of the network's parameters; None before the first checkpoint.
        added: what was added to the epochs of the settings, in order.
    """

    folder: Path
    state: str
    note: str
    settings: Mapping[str, Any]
    shards: str | None
    shards_checksum: str | None
    epochs: Sequence[Mapping[str, Any]]
    parameters: int | None
    added: Sequence[Added] = ()

    @property
    def epochs_planned(self) -> Any:
        """The epochs of the whole run, with those that were added to it; None if that is not known."""
        return self.added[-1].epochs if self.added else self.settings.get("epochs")

    @property
    def epochs_done(self) -> int:
        """The number of epochs that are done."""
        return self.epochs[-1]["epoch"] + 1 if self.epochs else 0

    @property
    def seconds(self) -> float | None:
        """The time spent training up to the last epoch that is done; None before the first."""
        return number(self.epochs[-1], "seconds") if self.epochs else None

    @property
    def last_top1(self) -> float | None:
        """The validation top-1 after the last epoch that is done, from 0 to 1."""
        return share(self.epochs[-1], "validation_top1") if self.epochs else None

    @property
    def best(self) -> tuple[float, int] | None:
        """The best validation top-1, and its epoch from 1; of equal ones the earlier, as in training."""
        scored = [
            (top1, -line["epoch"]) for line in self.epochs if (top1 := share(line, "validation_top1")) is not None
        ]
        if not scored:
            return None
        top1, epoch = max(scored)
        return top1, 1 - epoch

    def as_dict(self) -> dict[str, Any]:
        """The summary as JSON has it."""
        best = self.best
        return {
            "run": str(self.folder),
            "state": self.state,
            "note": self.note,
            "network": self.settings.get("network"),
            "classes": len(self.settings["classes"]) if "classes" in self.settings else None,
            "shards": self.shards,
            "shards_checksum": self.shards_checksum,
            "settings": {name: value for name, value in self.settings.items() if name != "classes"},
            "epochs": self.epochs_planned,
            "added": [asdict(one) for one in self.added],
            "epochs_done": self.epochs_done,
            "best_validation_top1": best and best[0],
            "best_epoch": best and best[1],
            "last_validation_top1": self.last_top1,
            "parameters": self.parameters,
            "seconds": self.seconds,
        }


def summarize(folder: Path) -> RunSummary:
    """Summarize the run in `folder`, which may be damaged or incomplete, or weights without their training."""
    if has_weights(folder):
        return _weights_summary(folder)
    stored = read_stored(folder)
    card, finished = stored.fields, stored.fields.get("finished") is True
    epochs, epochs_fault, skipped = _epochs(folder / METRICS, finished=finished)
    found = ((CARD, stored.fault), (CONFIG, stored.settings_fault), (METRICS, epochs_fault))
    faults = [f"{name} {fault}" for name, fault in found if fault]
    if stored.is_other_format:
        state, note = "other format", other_format(card["format_version"])
    elif faults:
        state, note = "damaged", "; ".join(faults)
    elif finished:
        state, note = "finished", ""
    elif (holder := holder_of(folder / LOCK)) is not None:
        state, note = "training", f"being trained by process {holder}"
    elif card.get("diverged"):
        state, note = "diverged", str(card["diverged"])
    else:
        state, note = "unfinished", f"resume it with `sketchpipe train --resume --run {folder}`"
    added = added_of(stored)
    trained = stretches(stored.settings["epochs"], added) if added and stored.settings else ""
    note = "; ".join(part for part in (note, trained, skipped) if part)
    shards, checksum = (_text(card.get(name)) for name in ("shards", "shards_checksum"))
    return RunSummary(folder, state, note, stored.settings, shards, checksum, epochs, _parameters(folder), added)


def _weights_summary(folder: Path) -> RunSummary:
    note = "without their training"
    try:
        settings, card = read_description(folder)
    except SketchpipeError as error:
        return RunSummary(folder, "damaged", str(error), {}, None, None, [], None)
    training = card["training"]
    parameters = _parameters_in(folder / WEIGHTS)
    epoch = {
        "epoch": training["epochs"] - 1,
        "validation_top1": training["validation_top1"],
        "seconds": 60 * training["minutes"],
    }
    if folder.parent == BUILT_IN:
        note = "come with sketchpipe"
    return RunSummary(
        Path(name_of(folder)), "weights", note, settings, None, training["shards_checksum"], [epoch], parameters
    )


def number(fields: Mapping[str, Any], name: str) -> float | None:
    """A field that is a finite number; otherwise None."""
    value = fields.get(name)
    # Python's json reads NaN and whole numbers of any length.
    return float(value) if isinstance(value, int | float) and abs(value) < 1e300 else None


def share(fields: Mapping[str, Any], name: str) -> float | None:
    """A field that is a number from 0 to 1; otherwise None."""
    value = number(fields, name)
    return value if value is not None and 0 <= value <= 1 else None


def _epochs(path: Path, *, finished: bool) -> tuple[list[dict[str, Any]], str, str]:
    """The metrics of each epoch, what is wrong with the file, and a note of skipped lines; both may be empty."""
    try:
        epochs, numbers = read_log(path)
    except FileNotFoundError:
        return [], "is missing" if finished else "", ""  # or no epoch is done yet
    except UnfitFileError as error:
        return [], str(error.strerror), ""
    except OSError as error:
        return [], f"cannot be read ({error.strerror})", ""
    if finished and not epochs:
        return [], "has no line of an epoch", ""
    if not numbers:
        return epochs, "", ""
    more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
    lines = f"line{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers[:_NAMED]))}{more}"
    return epochs, "", f"{path.name}: skipped {lines}, not the metrics of an epoch"


def _parameters(folder: Path) -> int | None:
    """The number of parameters, from the header of a checkpoint's arrays (https://github.com/huggingface/safetensors).

    The header is searched, not parsed as JSON, which took half of the time of listing 200 runs.
    """
    found = map(_parameters_in, sorted(folder.glob("checkpoints/[0-9]*/arrays.safetensors")))
    return next((count for count in found if count is not None), None)


def _parameters_in(path: Path) -> int | None:
    """The number of parameters in a file; None if it cannot be read."""
    try:
        with open_regular(path, link=False) as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = file.read(length) if length <= _HEADER_BYTES else b""
    except (OSError, struct.error):
        return None
    if header[:1] == b"{" and header.rstrip()[-1:] == b"}" and (shapes := _SHAPE.findall(header)):
        count = sum(math.prod(map(int, filter(None, shape.split(b",")))) for shape in shapes)
        return count if count < _PARAMETERS else None
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
