"""Reads and writes `calibration.json`: the temperature of a run's probabilities.

It says what it was fitted on and of which checkpoint, and proves itself by a checksum.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.errors import CheckpointError, MismatchError
from pipeline.storage.files import write_atomically, writing
from pipeline.storage.sealed import seal, unseal

CALIBRATION = "calibration.json"
FORMAT_VERSION = 1
COLDEST, HOTTEST = 0.05, 20.0  # the temperatures that may be fitted


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


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Store it in a run's folder.

    Raises:
        OutputError: it cannot be stored; one that was there before stands.
    """
    with writing(folder / CALIBRATION, "make room or mend rights"):
        write_atomically(folder / CALIBRATION, calibration.dump())


def read_calibration(folder: Path) -> Calibration | None:
    """What was stored in a run's folder; None where nothing was.

    Raises:
        CheckpointError: it is damaged.
        MismatchError: it is of a format that this version does not read.
    """
    path = folder / CALIBRATION
    remedy = "fit it again with `sketchpipe evaluate --calibrate`"
    try:
        fields, is_whole = unseal(path.read_text(encoding="utf-8"))
        version = fields.pop("format_version")
        if is_whole and version != FORMAT_VERSION:
            raise MismatchError(f"{path}: format {version}, but this version reads {FORMAT_VERSION}; {remedy}")
        calibration = Calibration(**fields)
        if not (is_whole and COLDEST <= calibration.temperature <= HOTTEST):
            raise ValueError("its checksum is wrong, or its temperature is out of range")
    except FileNotFoundError:
        return None
    except MismatchError:
        raise
    except (ValueError, KeyError, TypeError, IsADirectoryError) as error:
        raise CheckpointError(f"{path}: damaged; {remedy}, or remove it") from error
    return calibration
