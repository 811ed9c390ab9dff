"""Tells from a response's type and first bytes that something other than drawings came, such as a sign-in page."""

from collections.abc import Mapping

from pipeline.download.bucket import Format
from pipeline.errors import InputError

HEAD_BYTES = 4096  # of a file, kept to judge it by
_MARK, _NPY = b"\xef\xbb\xbf", b"\x93NUMPY"
_RECORD_BYTES = 21  # of the shortest record of a .bin file
_PAGES = ("text/html", "application/xhtml+xml")
_KINDS = (
    (_NPY, "a .npy file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"PK\x03\x04", "a zip file"),
    (b"version https://git-lfs", "a git-lfs pointer"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "an XML document"),
    (b"<", "a web page or an XML document"),
    (b"{", "a JSON object without a drawing"),
)


def check_type(url: str, headers: Mapping[str, str]) -> None:
    """Raise an error if a response's Content-Type is that of a web page. Servers give drawings many other types.

    Raises:
        InputError: it is.
    """
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in _PAGES:
        raise not_drawings(url, f"a web page ({kind})")


def not_drawings(url: str, came: str) -> InputError:
    """The error that `came`, such as "a web page", is at an address instead of drawings."""
    return InputError(
        f"{url}: {came} came instead of drawings, from a proxy, a sign-in page or a mirror without this file; open the "
        "address in a browser, then run the command again or choose another mirror with --source"
    )


def kind_of_other(head: bytes, form: Format, *, is_all: bool) -> str | None:
    """What a file is that is surely not of a format; None if it may be, or if too few bytes are known.

    >>> from pipeline.download.bucket import FORMATS
    >>> kind_of_other(b"<html><head>", FORMATS["simplified"], is_all=False)
    'a web page'

    Args:
        head: the first `HEAD_BYTES` of the file, or fewer.
        form: the format that the file should have.
        is_all: whether `head` is the whole file.
    """
    check = {".ndjson": _may_be_lines, ".bin": _may_be_records, ".npy": _may_be_npy}[form.suffix]
    if check(head, is_all):
        return None
    text = _text(head).lower()
    known = (kind for start, kind in _KINDS if text.startswith(start.lower()))
    return next(known, f"a file that begins with {head[:16]!r}")


def _may_be_lines(head: bytes, is_all: bool) -> bool:
    """Whether the first line begins as a JSON object and, if all of it is known, has a field `drawing`."""
    line, ended, _ = _text(head).partition(b"\n")
    if not line:
        return True
    return line.startswith(b"{") and (b'"drawing"' in line or not (ended or is_all))


def _may_be_records(head: bytes, is_all: bool) -> bool:
    """Whether the first record has a countrycode of printable ASCII, and a `recognized` of 0 or 1."""
    if len(head) < _RECORD_BYTES:
        return not head or not is_all
    return all(0x20 <= byte < 0x7F for byte in head[8:10]) and head[10] in (0, 1)


def _may_be_npy(head: bytes, is_all: bool) -> bool:
    return head.startswith(_NPY) or (_NPY.startswith(head) and not is_all)


def _text(head: bytes) -> bytes:
    """The first bytes without a byte order mark and white space before the text."""
    return b"" if _MARK.startswith(head) else head.removeprefix(_MARK).lstrip()
