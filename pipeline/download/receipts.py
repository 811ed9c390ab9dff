"""Records in the hidden `.download/` which version of each file was downloaded into a folder.

lock                        held by the process that fetches
<file>.json                 a receipt: of which version the file is, and its size and date when it was put there
<file>.<version>.partial    the beginning of a file that is still being fetched
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.download.bucket import Checksum, Version
from pipeline.download.remote import CHUNK_BYTES
from pipeline.storage.files import sync, write_atomically

DOWNLOADS = ".download"


@dataclass(frozen=True)
class Receipt:
    """A file as it was put into the folder.

    Attributes:
        form: the name of its format.
        key: of its version.
        lines: how many of its lines are here; None for the whole file.
        size: bytes here.
        mtime_ns: when it was last written here, nanoseconds since 1970.
    """

    form: str
    key: str
    lines: int | None
    size: int
    mtime_ns: int

    def is_of(self, path: Path) -> bool:
        """Whether `path` is still as it was put there, by its size and date."""
        try:
            stat = path.stat()
        except FileNotFoundError:
            return False
        return (stat.st_size, stat.st_mtime_ns) == (self.size, self.mtime_ns)


def partial_path(path: Path, version: Version) -> Path:
    """Where the beginning of a version is kept while it is fetched."""
    return path.parent / DOWNLOADS / f"{path.name}.{version.key}.partial"


def drop_partials(path: Path, but: Path | None = None) -> None:
    """Remove what is left of a file's other versions."""
    for partial in (path.parent / DOWNLOADS).iterdir():
        stem, _, rest = partial.name.removesuffix(".partial").rpartition(".")
        if stem == path.name and rest and partial.name.endswith(".partial") and partial != but:
            partial.unlink()


def read_receipt(path: Path) -> Receipt | None:
    """The receipt of a file that is as it was put there; None without one."""
    receipt = _load(path)
    return receipt if receipt and receipt.is_of(path) else None


def is_half_replaced(path: Path, version: Version) -> bool:
    """Whether a crash came between the receipt for a new version and its file: the old file is one of ours then."""
    receipt = _load(path)
    return receipt is not None and receipt.is_of(partial_path(path, version))


def write_receipt(path: Path, form: str, version: Version, lines: int | None, written: Path) -> None:
    """Note that `path` is of this version; `written` is the file that is or becomes it."""
    stat = written.stat()
    receipt = Receipt(form, version.key, lines, stat.st_size, stat.st_mtime_ns)
    write_atomically(_receipt_path(path), json.dumps(asdict(receipt)) + "\n")


def put_in_place(path: Path, partial: Path, form: str, version: Version, lines: int | None) -> None:
    """Give a full partial file its name; a crash leaves it partial, or in place with its receipt."""
    write_receipt(path, form, version, lines, partial)
    partial.replace(path)
    sync(path.parent)
    drop_partials(path)


def is_proved(path: Path, version: Version) -> bool:
    """Whether a file without a receipt is, by its size and checksum, the whole of this version."""
    checksum = Checksum(version)
    if checksum.expected is None or not path.is_file() or path.stat().st_size != version.size:
        return False
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            checksum.update(chunk)
    return checksum.found() == checksum.expected


def _load(path: Path) -> Receipt | None:
    try:
        return Receipt(**json.loads(_receipt_path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # a damaged one is none: the file itself will be asked
        return None


def _receipt_path(path: Path) -> Path:
    return path.parent / DOWNLOADS / f"{path.name}.json"
