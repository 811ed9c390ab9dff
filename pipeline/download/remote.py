"""Requests to a server of files: byte ranges of one version, and retries after temporary failures.

What may pass (a cut connection, a short answer, 429, 5xx) is tried again, later and later, as long as nothing comes;
whatever does come starts the count anew. What cannot pass (404, a certificate) ends at once, and soon what goes wrong
before the server has answered anything: that is an address or a network that is not as it was meant.
"""

import contextlib
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader, LocationValueError, ProxySchemeUnknown, SSLError
from urllib3.response import BaseHTTPResponse

from pipeline.download.bucket import Version, read_validator, read_version
from pipeline.download.workers import StoppedError
from pipeline.errors import InputError, SketchpipeError, UsageError

CHUNK_BYTES = 1 << 18  # at most this much is read at once
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_UNREACHED = (urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.ProxyError)
# A stored gzip would be unpacked on the way, and its length and checksum would be another's.
_TOLD_SECONDS = 2.0  # a shorter wait needs no word
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "sketchpipe"}

T = TypeVar("T")


class UnreachableError(InputError):
    """A server that cannot be reached at all: no other file of it will come either."""


class ChangedError(SketchpipeError):
    """A file that is another version than it was at first."""


class PassingError(Exception):
    """A fault that may pass.

    Attributes:
        final: what to raise when it does not.
        why: the fault alone, in words.
        wait_seconds: how long the server asks to be left alone, or None.
    """

    def __init__(self, final: SketchpipeError, why: str, wait_seconds: float | None = None) -> None:
        super().__init__(str(final))
        self.final, self.why, self.wait_seconds = final, why, wait_seconds


@dataclass(frozen=True)
class Patience:
    """How long a fault is borne.

    Attributes:
        tries: without a byte in between.
        first_tries: to reach a server that has not answered yet: who waits at a terminal is told soon.
        first_wait_seconds: after the first fault; it doubles with each.
        longest_wait_seconds: what that ends at.
        longest_asked_seconds: a server that asks for more (Retry-After) is given up.
        connect_seconds: for a connection.
        read_seconds: for the next bytes.
    """

    tries: int = 8
    first_tries: int = 2
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 30.0
    longest_asked_seconds: float = 300.0
    connect_seconds: float = 10.0
    read_seconds: float = 60.0


class Remote:
    """The files below one address, over `connections` connections at most; threads may share it.

    Proxies come from the environment (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY). Certificates are verified.
    `stop` ends waits and reads. `waiting` is told of waits, from the thread that waits; not of each of many at a time.

    Raises:
        UsageError: the address, or the proxy that the environment names for it, is none.
    """

    def __init__(
        self,
        source: str,
        connections: int,
        patience: Patience,
        stop: threading.Event,
        waiting: Callable[[str], None] = lambda _said: None,
    ) -> None:
        self._patience, self._stop, self._waiting = patience, stop, waiting
        self._pool = _open_pool(source, connections)
        self._host = urllib3.util.parse_url(source).netloc
        self._has_answered = False
        self._told, self._told_until, self._telling = 0.0, 0.0, threading.Lock()
        self._timeout = urllib3.Timeout(connect=patience.connect_seconds, read=patience.read_seconds)

    def close(self) -> None:
        """Close the connections that wait for a next request."""
        self._pool.clear()

    def version(self, url: str) -> Version:
        """What lies at `url` now.

        Raises:
            InputError: nothing, or nothing that can be had.
        """

        def ask() -> Version:
            with self._answer("HEAD", url, {}) as answer:
                _expect(url, answer, HTTPStatus.OK)
                return read_version(url, answer.headers)

        return self.persist(ask)

    @contextlib.contextmanager
    def open_range(self, url: str, version: Version, start: int, end: int) -> Iterator[Iterator[bytes]]:
        """The bytes from `start` to before `end`, as they come; a server that knows no ranges is read past `start`.

        Raises:
            ChangedError: another version lies there now.
            PassingError: the answer is not what it should be, or ends before `end`; also from the iterator.
            InputError: nothing lies there now.
        """
        headers = {}
        if start or end < version.size:
            headers["Range"] = f"bytes={start}-{end - 1}"
            if version.validator and not version.validator.startswith("W/"):
                headers["If-Range"] = version.validator
        with self._answer("GET", url, headers) as answer:
            _expect(url, answer, HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)
            if read_validator(answer.headers) != version.validator:
                raise ChangedError(f"{url}: changed while it was fetched; run the same command again")
            skip = _check_extent(url, answer, version, start, end)
            yield self._read(url, answer, skip, end - start)

    def persist(self, attempt: Callable[[], T], reached: Callable[[], int] = int) -> T:
        """`attempt()`, again and again while it fails with what may pass.

        Args:
            attempt: raises PassingError for that.
            reached: how far the attempts have come; where that is farther than ever, the count of failures starts anew.
        """
        failures, farthest = 0, reached()
        while True:
            if self._stop.is_set():
                raise StoppedError
            try:
                return attempt()
            except PassingError as error:
                failures = 1 if reached() > farthest else failures + 1
                farthest = max(farthest, reached())
                wait = self._wait(failures, error)
                tries = self._patience.tries if self._has_answered else self._patience.first_tries
                if failures >= tries or wait is None:
                    raise error.final from error
                self._tell(error.why, wait)
                self._stop.wait(wait)

    def _tell(self, why: str, wait: float) -> None:
        """Tell of a wait, unless it is short, or a wait as long that was told of still lasts: threads fail together."""
        now = time.monotonic()
        with self._telling:
            if wait < _TOLD_SECONDS or (now < self._told_until and wait <= self._told):
                return
            self._told, self._told_until = wait, now + wait
            self._waiting(f"{self._host}: {why}, waiting {wait:.0f} s")

    def _wait(self, failures: int, error: PassingError) -> float | None:
        """Seconds until the next try; None where the server asks for more than there is patience."""
        if error.wait_seconds is not None:
            return error.wait_seconds if error.wait_seconds <= self._patience.longest_asked_seconds else None
        return min(self._patience.first_wait_seconds * 2.0 ** (failures - 1), self._patience.longest_wait_seconds)

    def _read(self, url: str, answer: BaseHTTPResponse, skip: int, left: int) -> Iterator[bytes]:
        """The next `left` bytes after the first `skip`."""
        while left:
            with _network(url, is_reached=True):
                # Not read(): what came before a cut would be lost with it.
                chunk = answer.read1(CHUNK_BYTES)
            if self._stop.is_set():
                raise StoppedError
            if not chunk:
                raise _passing(url, f"the connection ended {left} bytes early")
            passed = min(skip, len(chunk))
            skip -= passed
            chunk = chunk[passed : passed + left]
            left -= len(chunk)
            if chunk:
                yield chunk

    @contextlib.contextmanager
    def _answer(self, method: str, url: str, headers: dict[str, str]) -> Iterator[BaseHTTPResponse]:
        with _network(url, is_reached=self._has_answered):
            answer = self._pool.request(
                method, url, headers={**_HEADERS, **headers}, preload_content=False, decode_content=False,
                retries=False, timeout=self._timeout,
            )  # fmt: skip
        self._has_answered = True
        try:
            yield answer
        finally:
            # Only an answer that was read to its end, if it is empty too, leaves its connection to the next request.
            (answer.drain_conn if answer.length_remaining == 0 else answer.close)()
            answer.release_conn()


def _open_pool(source: str, connections: int) -> urllib3.PoolManager:
    """The connections for `source`, by way of the proxy that the environment names for it, if any."""
    try:
        parsed = urllib3.util.parse_url(source)
        (parsed.host or "").encode("idna")  # no resolver takes a label that is empty or over 63 characters
    except (LocationValueError, UnicodeError):
        parsed = urllib3.util.Url()
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query or parsed.fragment:
        raise UsageError(f'source "{source}": expected https://HOST/FOLDER or http://HOST/FOLDER')
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parsed.scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass(parsed.netloc or parsed.host):
        return urllib3.PoolManager(maxsize=connections)
    try:
        address = urllib3.util.parse_url(proxy if "://" in proxy else f"http://{proxy}")
        (address.host or "").encode("idna")
        login = urllib3.util.make_headers(proxy_basic_auth=address.auth) if address.auth else None
        return urllib3.ProxyManager(address._replace(auth=None).url, maxsize=connections, proxy_headers=login)
    except (LocationValueError, ProxySchemeUnknown, UnicodeError) as error:
        raise UsageError(f"proxy {proxy}: expected http://HOST:PORT; set {parsed.scheme.upper()}_PROXY") from error


@contextlib.contextmanager
def _network(url: str, *, is_reached: bool) -> Iterator[None]:
    """Turn urllib3's errors into what to do about them; `is_reached`: whether the server has answered before."""
    try:
        yield
    except HTTPError as error:
        host = urllib3.util.parse_url(url).netloc
        why = str(error.args[-1] if error.args else error).rpartition("): ")[2]
        if isinstance(error, SSLError) and isinstance(error.args[0], ssl.SSLCertVerificationError):
            raise UnreachableError(
                f"{host}: its certificate cannot be verified ({error.args[0].verify_message}); "
                "where your own authority signs, name its certificates with SSL_CERT_FILE"
            ) from error
        if isinstance(error, _UNREACHED) or not is_reached:
            raise PassingError(UnreachableError(
                f"{host}: cannot be reached ({why}); check the network and HTTPS_PROXY, or name a mirror with --source"
            ), why) from error  # fmt: skip
        raise _passing(url, why) from error


def _passing(url: str, why: str, wait_seconds: float | None = None) -> PassingError:
    final = InputError(f"{url}: given up ({why}); what has come is kept: run the same command again later")
    return PassingError(final, why, wait_seconds)


def _expect(url: str, answer: BaseHTTPResponse, *wanted: int) -> None:
    """Raise what an unwanted status means."""
    status = answer.status
    if status in wanted:
        return
    said = f"{status} {answer.reason or ''}".strip()
    if status in _PASSING or status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise _passing(url, f"the server answers {said}", _retry_after(answer))
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED):
        raise InputError(f"{url}: not to be had ({said}); check --source and --format")
    if moved := answer.headers.get("Location"):
        raise InputError(f"{url}: has moved ({said}) to {moved}; name where it lies now with --source")
    raise InputError(f"{url}: the server answers {said}; choose another with --source")


def _retry_after(answer: BaseHTTPResponse) -> float | None:
    """Seconds that the server asks for, given as such or as a date."""
    try:
        asked = answer.headers.get("Retry-After")
        return None if asked is None else urllib3.Retry().parse_retry_after(asked)
    except InvalidHeader:
        return None


def _check_extent(url: str, answer: BaseHTTPResponse, version: Version, start: int, end: int) -> int:
    """How many bytes of the answer lie before `start`; raises where it is not of the extent that was asked for."""
    whole = answer.status == HTTPStatus.OK
    length, extent = answer.headers.get("Content-Length"), answer.headers.get("Content-Range", "")
    wanted = version.size if whole else end - start
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise InputError(
            f"{url}: comes as {answer.headers['Content-Encoding']}, unasked; choose a mirror with --source"
        )
    if not whole and extent not in (f"bytes {start}-{end - 1}/{version.size}", f"bytes {start}-{end - 1}/*"):
        raise _passing(url, f"asked for bytes {start}-{end - 1} of {version.size}, was given {extent!r}")
    if length is not None and length != str(wanted):
        raise _passing(url, f"expected {wanted} bytes, was promised {length}")
    return start if whole else 0
