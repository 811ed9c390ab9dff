"""The temperature of a run's probabilities: fitted on validation drawings, stored with the run, loaded again.

calibration.json   in a run's folder: the temperature, what it was fitted on, of which checkpoint, and a checksum
"""

import contextlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from model.evaluate import Look, look_at
from model.reliability import (
    COLDEST,
    HOTTEST,
    Reliability,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    reliability_at,
)
from model.runs.checkpoint import digest_of
from model.runs.folder import Run
from pipeline.errors import CheckpointError, MismatchError, OutputError
from pipeline.sealed import seal, unseal
from pipeline.shards.manifest import read_manifest
from pipeline.storage import write_atomically

CALIBRATION = "calibration.json"
FORMAT_VERSION = 1
FIT_DRAWINGS = 100_000  # at most: of 345 classes their logits are 140 MB, and more would not change the temperature


def reliability_of(look: Look) -> Reliability:
    """The counts of what a network made of some drawings."""
    best = look.ranked.argmax(axis=1)
    confidence = look.probabilities[np.arange(len(best)), best]
    return reliability(confidence, best == look.labels)


@dataclass(frozen=True)
class Calibration:
    """What `calibration.json` says.

    Attributes:
        temperature: by which logits are divided.
        checkpoint: the name of the checkpoint that it belongs to.
        arrays_sha256: of that checkpoint's arrays.
        shards_checksum: of the manifest of the shards it was fitted on.
        drawings: of their validation split that it was fitted on.
        nll_before: their mean negative log likelihood at temperature 1.
        nll_after: the same at `temperature`.
        ece_before: their expected calibration error at temperature 1, from 0 to 1.
        ece_after: the same at `temperature`.
    """

    temperature: float
    checkpoint: str
    arrays_sha256: str
    shards_checksum: str
    drawings: int
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float

    def dump(self) -> str:
        """The text of `calibration.json`, with the checksum over the rest of it."""
        return seal({"format_version": FORMAT_VERSION, **asdict(self)})

    @property
    def at_its_end(self) -> bool:
        """Whether the best temperature may lie beyond those that are tried."""
        return self.temperature in (COLDEST, HOTTEST)


def calibrate_run(
    run: Run, folder: Path, progress: Callable[[int, int], None] = lambda _count, _total: None
) -> Calibration:
    """Fit the temperature of a run's best checkpoint on the validation split of the shards in `folder`, and store it.

    Args:
        run: whose.
        folder: the shards.
        progress: told of so many more drawings, and of how many there are.

    Raises:
        OutputError: it cannot be stored; one that was there before stands.
        SketchpipeError: shards or checkpoint are missing or damaged, or do not belong together.
    """
    checkpoint = _best(run)
    digest = digest_of(checkpoint)
    logits, labels = [], []
    with contextlib.closing(look_at(run, folder, "validation", limit=FIT_DRAWINGS)) as found:
        for split, look in found:
            logits.append(look.logits[0])
            labels.append(look.labels)
            progress(len(look.labels), min(len(split), FIT_DRAWINGS))
    z, own = np.concatenate(logits), np.concatenate(labels)
    temperature = fit_temperature(z, own)
    before, after = (reliability_at(z, own, one) for one in (1.0, temperature))
    calibration = Calibration(
        temperature=temperature,
        checkpoint=checkpoint.name,
        arrays_sha256=digest,
        shards_checksum=read_manifest(folder).checksum,
        drawings=len(own),
        nll_before=negative_log_likelihood(z, own),
        nll_after=negative_log_likelihood(z, own, temperature),
        ece_before=before.ece,
        ece_after=after.ece,
    )
    path = run.folder / CALIBRATION
    try:
        write_atomically(path, calibration.dump())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); make room or mend rights") from error
    return calibration


def read_calibration(run: Run) -> Calibration | None:
    """What was stored with a run; None where nothing was.

    Raises:
        CheckpointError: it is damaged.
        MismatchError: it is of a format that this version does not read.
    """
    path = run.folder / CALIBRATION
    damaged = CheckpointError(f"{path}: damaged; fit it anew with `sketchpipe evaluate --calibrate`, or remove it")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise damaged from error
    try:
        fields, sound = unseal(text)
        version = fields.pop("format_version")
        if sound and version != FORMAT_VERSION:
            raise MismatchError(
                f"{path}: format {version}, but this version reads {FORMAT_VERSION}; fit it anew with "
                "`sketchpipe evaluate --calibrate`"
            )
        calibration = Calibration(**fields)
        sound = sound and COLDEST <= calibration.temperature <= HOTTEST
    except MismatchError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged from error
    if not sound:
        raise damaged
    return calibration


def belongs(calibration: Calibration, run: Run) -> bool:
    """Whether it was fitted for the checkpoint that the run would be evaluated by."""
    checkpoint = _best(run)
    return checkpoint.name == calibration.checkpoint and digest_of(checkpoint) == calibration.arrays_sha256


def load_temperature(run: Run) -> float:
    """The temperature to divide a run's logits by: 1.0 where none was fitted, or it was for another checkpoint.

    Raises:
        CheckpointError: what is stored is damaged.
    """
    calibration = read_calibration(run)
    return calibration.temperature if calibration is not None and belongs(calibration, run) else 1.0


def _best(run: Run) -> Path:
    folder = run.checkpoint(best=True)
    if folder is None:
        raise CheckpointError(f"{run.folder}: has no checkpoint yet; go on with `sketchpipe train --resume`")
    return folder
