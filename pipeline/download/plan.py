"""Decides which files to download, and how much of them is already there."""

import heapq
import math
from dataclasses import dataclass
from pathlib import Path

from pipeline.download.bucket import SOURCE, Format, Version, choose_format, file_url
from pipeline.download.receipts import is_half_replaced, is_proved, partial_path, read_receipt, write_receipt
from pipeline.download.remote import CHUNK_BYTES, Remote
from pipeline.errors import OutputError, UsageError


@dataclass(frozen=True)
class DownloadOptions:
    """What to download for each word.

    Attributes:
        format: the name of one of the bucket's formats.
        drawings_per_class: how many lines to download from the beginning of each file; None for whole files.
        source: the address below which the folders of the formats are.
    """

    format: str = "simplified"
    drawings_per_class: int | None = None
    source: str = SOURCE

    def __post_init__(self) -> None:
        if self.drawings_per_class is None:
            choose_format(self.format)
        elif self.form.bytes_per_line is None:
            raise UsageError(f'format "{self.format}": its files have no lines; leave out --drawings-per-class')
        elif self.drawings_per_class < 1:
            raise UsageError(f"drawings_per_class {self.drawings_per_class}: expected 1 or more")

    @property
    def form(self) -> Format:
        """The format that `format` names."""
        return choose_format(self.format)


@dataclass(frozen=True)
class Item:
    """One word's file.

    Attributes:
        word: the word.
        url: the address of the file.
        path: its path on this machine.
        version: the version that is at the address.
        is_there: whether the wanted part of the file is already on this machine.
        have: how many of the wanted bytes are on this machine.
        total: how many bytes are wanted; an estimate if only some lines are.
        copied: how many bytes of an existing file with fewer lines are copied first, so that the download resumes after
            them; the existing file is kept until the new one is complete.
        lines: how many lines of the file are on this machine; None for all or none.
    """

    word: str
    url: str
    path: Path
    version: Version
    is_there: bool
    have: int = 0
    total: int = 0
    copied: int = 0
    lines: int | None = None


@dataclass(frozen=True)
class Plan:
    """What a download will do.

    Attributes:
        items: the files that can be downloaded or are already there.
        free: how many bytes are free on the disk.
    """

    items: tuple[Item, ...]
    free: int

    @property
    def missing(self) -> list[Item]:
        """The files to download."""
        return [item for item in self.items if not item.is_there]

    @property
    def needed(self) -> int:
        """How many bytes to download."""
        return sum(max(0, item.total - item.have) for item in self.missing)

    def larger_than(self, options: DownloadOptions) -> list[Item]:
        """The files here with more drawings than were asked for; of whole files that is estimated from their size."""
        wanted = options.drawings_per_class
        if wanted is None:
            return []
        estimate = wanted * (options.form.bytes_per_line or 0)
        there = [item for item in self.items if item.is_there]
        return [item for item in there if (item.version.size > estimate if item.lines is None else item.lines > wanted)]

    def room(self, connections: int) -> int:
        """How many bytes on the disk this needs at most, with `connections` files downloaded at a time."""
        return self.needed + sum(heapq.nlargest(connections, (item.copied for item in self.missing)))


def examine(remote: Remote, folder: Path, options: DownloadOptions, word: str) -> Item:
    """Find out which version of a word's file the bucket has, and how much of it is on this machine.

    Raises:
        InputError: the bucket does not give the file.
        OutputError: there is a file of that name on this machine that is not from this bucket, or has another format.
    """
    url = file_url(options.source, options.form, word)
    path = folder / f"{word}{options.form.suffix}"
    version = remote.version(url)
    lines, receipt = options.drawings_per_class, read_receipt(path)
    there = Item(word, url, path, version, is_there=True, lines=receipt.lines if receipt else None)
    if receipt is None and path.exists():
        if is_proved(path, version):
            write_receipt(path, options.format, version, None, path)
            return there
        if not is_half_replaced(path, version):
            raise OutputError(f"{path}: already exists, and is not {url}; move it, or choose another folder with --to")
    have, mean = 0, float(options.form.bytes_per_line or 0)
    if receipt is not None:
        if receipt.form != options.format:
            raise OutputError(f"{path}: already exists, as {receipt.form}; choose another folder with --to")
        if receipt.key == version.key:
            if receipt.lines is None or (lines is not None and receipt.lines >= lines):
                return there
            have, mean = receipt.size, receipt.size / max(receipt.lines, 1)
    beginning, copied = partial_path(path, version), have
    if beginning.exists():
        have, copied = beginning.stat().st_size, 0
        mean = _mean_line(beginning) or mean
    total = version.size if lines is None else min(version.size, math.ceil(lines * mean))
    return Item(word, url, path, version, is_there=False, have=have, total=total, copied=copied)


def _mean_line(path: Path) -> float | None:
    """The mean number of bytes per line at the beginning of a file; None if no line ends there."""
    with path.open("rb") as file:
        head = file.read(CHUNK_BYTES)
    lines = head.count(b"\n")
    return (head.rindex(b"\n") + 1) / lines if lines else None
