"""Google's bucket of Quick, Draw! files: names, addresses, and the headers with version and checksums.

Layout: `<source>/<folder>/<word><suffix>`, the word percent-encoded (github.com/googlecreativelab/quickdraw-dataset).
Checksums: the header `x-goog-hash: crc32c=<base64>,md5=<base64>`, as one header or two; an object composed of parts has
no md5 (cloud.google.com/storage/docs/hashes-etags).
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import google_crc32c

from pipeline.classes import WORDS, resembling
from pipeline.errors import InputError, UsageError

SOURCE = "https://storage.googleapis.com/quickdraw_dataset/full"


@dataclass(frozen=True)
class Format:
    """One of the four forms in which the bucket holds every word.

    Attributes:
        name: as `--format` takes it.
        folder: below the source.
        suffix: of its files, there and here.
        target: the folder for its files here, if no other is named; one a format, so that sets never mix.
        bytes_per_line: the mean of Google's lines, measured on 33,481 simplified and 8,277 raw ones; None where a file
            has no lines.
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
    """What a file in the bucket is at one moment.

    Attributes:
        size: bytes.
        validator: its ETag, else its date of change; None where the server gives neither.
        md5: of its bytes, 16 bytes; None where it is not given.
        crc32c: of its bytes, 4 bytes, big-endian; None where it is not given.
    """

    size: int
    validator: str | None
    md5: bytes | None
    crc32c: bytes | None

    @property
    def has_checksum(self) -> bool:
        """Whether its bytes can be proved."""
        return bool(self.md5 or self.crc32c)

    @property
    def key(self) -> str:
        """Sixteen hexadecimal digits that another version does not share."""
        content = self.md5.hex() if self.md5 else f"{self.crc32c!r} {self.validator}"
        return hashlib.sha256(f"{self.size} {content}".encode()).hexdigest()[:16]


class Checksum:
    """The strongest of a version's checksums, taken while its bytes go by."""

    def __init__(self, version: Version) -> None:
        self.expected = version.md5 or version.crc32c
        self.name = "md5" if version.md5 else "crc32c"
        self._hash = hashlib.md5(usedforsecurity=False) if version.md5 else google_crc32c.Checksum()  # type: ignore[no-untyped-call] # it has no types

    def update(self, chunk: bytes) -> None:
        """Take the next bytes."""
        if self.expected:
            self._hash.update(chunk)

    def found(self) -> bytes:
        """The checksum of what went by."""
        return self._hash.digest()


def choose_format(name: str) -> Format:
    """The format that is called so.

    Raises:
        UsageError: none is.
    """
    if name not in FORMATS:
        raise UsageError(f'format "{name}": expected one of {", ".join(FORMATS)}')
    return FORMATS[name]


def check_words(words: Sequence[str]) -> tuple[str, ...]:
    """The words, each once, in their order.

    Raises:
        InputError: one is none of Google's.
        UsageError: one is empty.
    """
    for word in words:
        if not word.strip():
            raise UsageError(f'class "{word}": empty; `sketchpipe classes` lists them')
        if word not in WORDS:
            near = " or ".join(repr(other) for other in resembling(word, count=3))
            hint = f"did you mean {near}?" if near else "`sketchpipe classes` lists them"
            raise InputError(f'class "{word}": not one of Google\'s {len(WORDS)} words; {hint}')
    return tuple(dict.fromkeys(words))


def file_url(source: str, form: Format, word: str) -> str:
    """Where a word's file lies.

    >>> file_url(SOURCE, FORMATS["raw"], "hot dog")
    'https://storage.googleapis.com/quickdraw_dataset/full/raw/hot%20dog.ndjson'
    """
    return f"{source.rstrip('/')}/{form.folder}/{quote(word, safe='')}{form.suffix}"


def read_version(url: str, headers: Mapping[str, str]) -> Version:
    """The version that the headers of an answer tell of.

    Args:
        url: whose they are, for the message.
        headers: case-insensitive; several of one name joined by commas.

    Raises:
        InputError: they give no length, or a checksum that is none.
    """
    length = headers.get("Content-Length", "")
    if not length.isdecimal():
        raise InputError(f"{url}: the server gives no length for it; choose a mirror that does with --source")
    hashes = dict(part.strip().partition("=")[::2] for part in headers.get("x-goog-hash", "").split(","))
    try:
        md5, crc32c = (base64.b64decode(hashes.get(name, ""), validate=True) for name in ("md5", "crc32c"))
        if len(md5) not in (0, 16) or len(crc32c) not in (0, 4):
            raise binascii.Error("of another length")
    except binascii.Error as error:
        raise InputError(
            f"{url}: the server's x-goog-hash {headers.get('x-goog-hash')!r} is no checksum ({error}); "
            "choose a mirror with --source"
        ) from error
    return Version(int(length), read_validator(headers), md5 or None, crc32c or None)


def read_validator(headers: Mapping[str, str]) -> str | None:
    """What tells one version of a file from the next: its ETag, else its date of change."""
    return headers.get("ETag") or headers.get("Last-Modified")
