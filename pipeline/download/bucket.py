"""Google's bucket of Quick, Draw! files: names, addresses, and the headers with version and checksums.

Layout: `<source>/<folder>/<word><suffix>`, the word percent-encoded (github.com/googlecreativelab/quickdraw-dataset).
Checksums: the header `x-goog-hash: crc32c=<base64>,md5=<base64>`, as one header or two; an object composed of parts has
no md5 (cloud.google.com/storage/docs/hashes-etags).
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import google_crc32c

from pipeline.classes import WORDS, resembling
from pipeline.errors import InputError, UsageError

_LENGTH_DIGITS = 19  # of the largest file that any file system holds
_BRIEF = 120  # characters
SOURCE = "https://storage.googleapis.com/quickdraw_dataset/full"


@dataclass(frozen=True)
class Format:
    """One of the four formats in which the bucket has a file for every word.

    Attributes:
        name: its name, as `--format` takes it.
        folder: the folder of its files, below the source.
        suffix: the suffix of its files, in the bucket and on this machine.
        target: the default folder for its files on this machine, a different one for each format, so that sets of
            drawings never mix.
        bytes_per_line: the mean length of Google's lines, measured on 33,481 simplified and 8,277 raw ones; None if the
            files have no lines.
    """

    name: str
    folder: str
    suffix: str
    target: str
    bytes_per_line: int | None


FORMATS = {
    one.name: one
    for one in (
        Format("simplified", "simplified", ".ndjson", "sketches/quickdraw", 523),
        Format("raw", "raw", ".ndjson", "sketches/quickdraw-raw", 3620),
        Format("binary", "binary", ".bin", "sketches/quickdraw-binary", None),
        Format("numpy", "numpy_bitmap", ".npy", "sketches/quickdraw-numpy", None),
    )
}


@dataclass(frozen=True)
class Version:
    """The version of a file in the bucket.

    Attributes:
        size: the file's size in bytes.
        validator: its ETag, or else its date of last modification; None if the server gives neither.
        md5: the MD5 of its bytes, 16 bytes; None if the server does not give it.
        crc32c: the CRC32C of its bytes, 4 bytes, big-endian; None if the server does not give it.
    """

    size: int
    validator: str | None
    md5: bytes | None
    crc32c: bytes | None

    @property
    def has_checksum(self) -> bool:
        """Whether its bytes can be checked by a checksum."""
        return bool(self.md5 or self.crc32c)

    @property
    def key(self) -> str:
        """Sixteen hexadecimal digits, different for each version."""
        content = self.md5.hex() if self.md5 else f"{self.crc32c!r} {self.validator}"
        return hashlib.sha256(f"{self.size} {content}".encode()).hexdigest()[:16]


class Checksum:
    """The strongest of a version's checksums, computed over its bytes as they arrive."""

    def __init__(self, version: Version) -> None:
        self.expected = version.md5 or version.crc32c
        self.name = "md5" if version.md5 else "crc32c"
        self._hash = hashlib.md5(usedforsecurity=False) if version.md5 else google_crc32c.Checksum()  # type: ignore[no-untyped-call] # it has no types

    def update(self, chunk: bytes) -> None:
        """Add the next bytes."""
        if self.expected:
            self._hash.update(chunk)

    def found(self) -> bytes:
        """The checksum of the bytes that were added."""
        return self._hash.digest()


def choose_format(name: str) -> Format:
    """The format with this name.

    Raises:
        UsageError: no format has it.
    """
    if name not in FORMATS:
        raise UsageError(f'format "{name}": expected one of {", ".join(FORMATS)}')
    return FORMATS[name]


def check_words(words: Sequence[str]) -> tuple[str, ...]:
    """Check that these are words of Google's; returns each once, in the given order.

    Raises:
        InputError: a word is not one of Google's.
        UsageError: a word is empty.
    """
    for word in words:
        if not word.strip():
            raise UsageError(f'class "{word}": the name is empty; `sketchpipe classes` lists the words')
        if word not in WORDS:
            near = " or ".join(repr(other) for other in resembling(word, count=3))
            hint = f"did you mean {near}?" if near else "`sketchpipe classes` lists them"
            raise InputError(f'class "{word}": not one of Google\'s {len(WORDS)} words; {hint}')
    return tuple(dict.fromkeys(words))


def file_url(source: str, form: Format, word: str) -> str:
    """The address of a word's file.

    >>> file_url(SOURCE, FORMATS["raw"], "hot dog")
    'https://storage.googleapis.com/quickdraw_dataset/full/raw/hot%20dog.ndjson'
    """
    return f"{source.rstrip('/')}/{form.folder}/{quote(word, safe='')}{form.suffix}"


def read_version(url: str, headers: Mapping[str, str]) -> Version:
    """Read the version of a file from the headers of a response.

    Args:
        url: the address of the file, for messages.
        headers: the headers, with case-insensitive names; several of one name are joined by commas.

    Raises:
        InputError: the headers have no length, or an invalid checksum.
    """
    length = headers.get("Content-Length", "")
    if not (length.isascii() and length.isdecimal()):
        raise InputError(f"{url}: the server does not give its length; choose a mirror that does with --source")
    if len(length) > _LENGTH_DIGITS:
        raise InputError(
            f"{url}: no file has the length that the server gives, {brief(length)}; choose a mirror with --source"
        )
    hashes = dict(part.strip().partition("=")[::2] for part in headers.get("x-goog-hash", "").split(","))
    try:
        md5, crc32c = (base64.b64decode(hashes.get(name, ""), validate=True) for name in ("md5", "crc32c"))
        if len(md5) not in (0, 16) or len(crc32c) not in (0, 4):
            raise ValueError("wrong length")
    except ValueError as error:  # also of a character that is not ASCII
        raise InputError(
            f"{url}: the server's x-goog-hash {brief(headers['x-goog-hash'])!r} is not a valid checksum ({error}); "
            "choose a mirror with --source"
        ) from error
    return Version(int(length), read_validator(headers), md5 or None, crc32c or None)


def read_validator(headers: Mapping[str, str]) -> str | None:
    """What identifies a version of a file: its ETag, or else its date of last modification."""
    return headers.get("ETag") or headers.get("Last-Modified")


def brief(said: str) -> str:
    """What a server said, cut to a length that fits into a message."""
    return said if len(said) <= _BRIEF else f"{said[:_BRIEF]}..."
