"""Records in the hidden `.download/` which version of each file was downloaded into a folder.

lock                        held by the process that downloads
<file>.json                 a receipt: the version of the file, and its size and date when it was put in place
<file>.<version>.partial    a partial file: the beginning of a file that is not complete yet
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.download.bucket import Checksum, Version
from pipeline.download.remote import CHUNK_BYTES
from pipeline.storage.files import sync, write_atomically
from pipeline.storage.reading import open_regular, read_limited

_RECEIPT_BYTES = 1 << 16
DOWNLOADS = ".download"


@dataclass(frozen=True)
class Receipt:
    """What a file was when it was put into the folder.

    Attributes:
        form: the name of its format.
        key: the key of its version.
        lines: how many lines it has; None if it is the whole file.
        size: its size in bytes.
        mtime_ns: when it was last written, in nanoseconds since 1970.
    """

    form: str
    key: str
    lines: int | None
    size: int
    mtime_ns: int

    def is_of(self, path: Path) -> bool:
        """Whether `path` is unchanged since then, judged by its size and date."""
        try:
            stat = path.stat()
        except FileNotFoundError:
            return False
        return (stat.st_size, stat.st_mtime_ns) == (self.size, self.mtime_ns)


def partial_path(path: Path, version: Version) -> Path:
    """The path of the partial file of a version."""
    return path.parent / DOWNLOADS / f"{path.name}.{version.key}.partial"


def drop_partials(path: Path, but: Path | None = None) -> None:
    """Remove the partial files of a file, except `but`."""
    for partial in (path.parent / DOWNLOADS).iterdir():
        stem, _, rest = partial.name.removesuffix(".partial").rpartition(".")
        if stem == path.name and rest and partial.name.endswith(".partial") and partial != but:
            partial.unlink()


def read_receipt(path: Path) -> Receipt | None:
    """The receipt of a file; None if there is none, or if the file has changed since."""
    receipt = _load(path)
    return receipt if receipt and receipt.is_of(path) else None


def is_half_replaced(path: Path, version: Version) -> bool:
    """Whether a crash left the receipt of a new version beside the old file: then that too was downloaded."""
    receipt = _load(path)
    return receipt is not None and receipt.is_of(partial_path(path, version))


def write_receipt(path: Path, form: str, version: Version, lines: int | None, written: Path) -> None:
    """Record that `path` is of this version; `written` is the file itself, or the one that will be renamed to it."""
    stat = written.stat()
    receipt = Receipt(form, version.key, lines, stat.st_size, stat.st_mtime_ns)
    write_atomically(_receipt_path(path), json.dumps(asdict(receipt)) + "\n")


def put_in_place(path: Path, partial: Path, form: str, version: Version, lines: int | None) -> None:
    """Rename a complete partial file to `path`; a crash leaves it partial, or in place with its receipt."""
    write_receipt(path, form, version, lines, partial)
    partial.replace(path)
    sync(path.parent)
    drop_partials(path)


def is_proved(path: Path, version: Version) -> bool:
    """Whether a file without a receipt is the whole file of this version, by its size and checksum."""
    checksum = Checksum(version)
    if checksum.expected is None or not path.is_file() or path.stat().st_size != version.size:
        return False
    with open_regular(path, link=True) as file:
        while chunk := file.read(CHUNK_BYTES):
            checksum.update(chunk)
    return checksum.found() == checksum.expected


def _load(path: Path) -> Receipt | None:
    try:
        return Receipt(**json.loads(read_limited(_receipt_path(path), _RECEIPT_BYTES, link=False)))
    # A damaged receipt counts as none: the file itself is checked.
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _receipt_path(path: Path) -> Path:
    return path.parent / DOWNLOADS / f"{path.name}.json"
