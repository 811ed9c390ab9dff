"""Reads and writes `calibration.json`: the temperature of a run's probabilities.

The file also records the drawings and the checkpoint that it was fitted for, and holds its own checksum.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.errors import CheckpointError, MismatchError
from pipeline.storage.files import write_atomically, writing
from pipeline.storage.sealed import seal, unseal

CALIBRATION = "calibration.json"
FORMAT_VERSION = 1
COLDEST, HOTTEST = 0.05, 20.0  # the lowest and the highest temperature that may be fitted


@dataclass(frozen=True)
class Calibration:
    """The content of `calibration.json`.

    Attributes:
        temperature: the number by which logits are divided.
        checkpoint: the name of the checkpoint that the temperature was fitted for.
        arrays_sha256: the SHA-256 of that checkpoint's arrays.
        shards_checksum: the checksum of the manifest of the shards that it was fitted on.
        drawings: the number of drawings of their validation split that it was fitted on.
        nll_before: the mean negative log likelihood of these drawings at temperature 1.
        nll_after: the same at `temperature`.
        ece_before: the expected calibration error of these drawings at temperature 1, from 0 to 1.
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


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Write a run's `calibration.json`.

    Raises:
        OutputError: it cannot be written; an earlier one is unchanged.
    """
    with writing(folder / CALIBRATION, "make room, or allow writing"):
        write_atomically(folder / CALIBRATION, seal({"format_version": FORMAT_VERSION, **asdict(calibration)}))


def read_calibration(folder: Path) -> Calibration | None:
    """Read a run's `calibration.json`; None if there is none.

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
