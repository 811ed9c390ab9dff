"""Judges the responses of a server: what is an error, what is worth another try, and after which wait."""

import time
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from urllib3.response import BaseHTTPResponse

from pipeline.download.bucket import Version, brief
from pipeline.errors import InputError, SketchpipeError
from pipeline.wording import counted

_PASSING = {408, 425, 429, 500, 502, 503, 504}


class PassingError(Exception):
    """A temporary failure.

    Attributes:
        final: the error to raise after the last retry.
        why: the reason alone, in words.
        wait_seconds: how long the server asks to wait before the next request; None if it does not say.
        is_slow: whether bytes came, but too slowly to go on.
    """

    def __init__(
        self, final: SketchpipeError, why: str, wait_seconds: float | None = None, *, is_slow: bool = False
    ) -> None:
        super().__init__(str(final))
        self.final, self.why, self.wait_seconds, self.is_slow = final, why, wait_seconds, is_slow


def passing(url: str, why: str, wait_seconds: float | None = None, *, is_slow: bool = False) -> PassingError:
    """The temporary failure of the download of `url`."""
    final = InputError(f"{url}: gave up ({why}); what was downloaded is kept: run the same command again later")
    return PassingError(final, why, wait_seconds, is_slow=is_slow)


def expect(url: str, answer: BaseHTTPResponse, *wanted: int) -> None:
    """Raise the error that a status means, unless it is one of `wanted`."""
    status = answer.status
    if status in wanted:
        return
    said = brief(f"{status} {answer.reason or ''}".strip())
    if status in _PASSING or status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        asked = _retry_after(answer)
        later = f" and asks to wait {asked:,.0f} s" if asked and asked >= 1 else ""
        raise passing(url, f"the server responded {said}{later}", asked)
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED):
        raise InputError(f"{url}: cannot be downloaded ({said}); check --source and --format")
    if moved := answer.headers.get("Location"):
        raise InputError(f"{url}: has moved ({said}) to {brief(moved)}; name the new address with --source")
    raise InputError(f"{url}: the server responded {said}; choose another with --source")


def _retry_after(answer: BaseHTTPResponse) -> float | None:
    """The wait in seconds that the server asks for, as a number or as a date; None if it asks for none that exists."""
    asked = answer.headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdecimal():
        return float(asked[:18])  # of a longer number the beginning is more than long enough
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def check_extent(url: str, answer: BaseHTTPResponse, version: Version, start: int, end: int) -> int:
    """How many bytes of the response are before `start`; raises if it does not have the requested extent."""
    whole = answer.status == HTTPStatus.OK
    length, extent = answer.headers.get("Content-Length"), answer.headers.get("Content-Range", "")
    packed = answer.headers.get("Content-Encoding", "identity")
    wanted = version.size if whole else end - start
    if packed != "identity":
        raise InputError(
            f"{url}: the server sends {brief(packed)}, which was not requested; choose a mirror with --source"
        )
    if not whole and extent not in (f"bytes {start}-{end - 1}/{version.size}", f"bytes {start}-{end - 1}/*"):
        raise passing(
            url, f"requested bytes {start}-{end - 1} of {version.size}, but the server sent {brief(extent)!r}"
        )
    if length is not None and length != str(wanted):
        raise passing(url, f"expected {counted(wanted, 'byte')}, but the server announced {brief(length)}")
    return start if whole else 0
