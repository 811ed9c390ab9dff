"""Reads and writes `calibration.json`: the temperature of a run's probabilities.

The file also records the drawings and the checkpoint that it was fitted for, and holds its own checksum.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from model.runs.card import LIMIT
from model.runs.checkpoint import CHECKPOINT_NAME
from pipeline.errors import CheckpointError, MismatchError
from pipeline.storage.fields import SHA256, real, record, text, whole
from pipeline.storage.files import write_atomically, writing
from pipeline.storage.reading import read_limited
from pipeline.storage.sealed import seal, unseal

CALIBRATION = "calibration.json"
FORMAT_VERSION = 1
COLDEST, HOTTEST = 0.05, 20.0  # the lowest and the highest temperature that may be fitted
FITTED = {  # fields about the temperature and the drawings that it was fitted on
    "temperature": real(COLDEST, HOTTEST),
    "shards_checksum": text(64),  # is only recorded
    "drawings": whole(),
    **dict.fromkeys(("nll_before", "nll_after"), real(0)),
    **dict.fromkeys(("ece_before", "ece_after"), real(0, 1)),
}
_FIELDS = record(
    {
        "format_version": whole(),
        "checkpoint": text(pattern=CHECKPOINT_NAME),
        "arrays_sha256": SHA256,
        **FITTED,
    }
)


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
        fields, is_whole = unseal(read_limited(path, LIMIT, link=False).decode())
        if not is_whole:
            raise ValueError("it does not match its checksum")
        version = fields.get("format_version")
        whole()("format_version", version)
        if version != FORMAT_VERSION:
            raise MismatchError(f"{path}: format {version}, but this version reads {FORMAT_VERSION}; {remedy}")
        _FIELDS("", fields)
    except FileNotFoundError:
        return None
    except MismatchError:
        raise
    except (ValueError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise CheckpointError(f"{path}: damaged ({why}); {remedy}, or remove it") from error
    del fields["format_version"]
    return Calibration(**fields)
