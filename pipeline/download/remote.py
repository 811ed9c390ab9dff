"""A server of files, asked with patience: ranges, one version at a time, and what to do about each way to fail.

What may pass (a cut connection, a short answer, 429, 5xx) is tried again, later and later, as long as nothing comes;
whatever does come starts the count anew. What cannot pass (404, a certificate) ends at once.
"""

import contextlib
import ssl
import threading
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
        wait_seconds: how long the server asks to be left alone, or None.
    """

    def __init__(self, final: SketchpipeError, wait_seconds: float | None = None) -> None:
        super().__init__(str(final))
        self.final, self.wait_seconds = final, wait_seconds


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
    """

    def __init__(self, source: str, connections: int, patience: Patience, stop: threading.Event) -> None:
        self._patience, self._stop = patience, stop
        self._pool = _open_pool(source, connections)
        self._has_answered = False
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
            reached: how far the attempts have come; where that has grown, the count of failures starts anew.
        """
        failures, before = 0, reached()
        while True:
            if self._stop.is_set():
                raise StoppedError
            try:
                return attempt()
            except PassingError as error:
                failures = 1 if reached() > before else failures + 1
                before = reached()
                wait = self._wait(failures, error)
                if failures >= self._tries(error) or wait is None:
                    raise error.final from error
                self._stop.wait(wait)

    def _tries(self, error: PassingError) -> int:
        is_first = isinstance(error.final, UnreachableError) and not self._has_answered
        return self._patience.first_tries if is_first else self._patience.tries

    def _wait(self, failures: int, error: PassingError) -> float | None:
        """Seconds until the next try; None where the server asks for more than there is patience."""
        if error.wait_seconds is not None:
            return error.wait_seconds if error.wait_seconds <= self._patience.longest_asked_seconds else None
        return min(self._patience.first_wait_seconds * 2.0 ** (failures - 1), self._patience.longest_wait_seconds)

    def _read(self, url: str, answer: BaseHTTPResponse, skip: int, left: int) -> Iterator[bytes]:
        """The next `left` bytes after the first `skip`."""
        while left:
            with _network(url):
                # Not read(): what came before a cut would be lost with it.
                chunk = answer.read1(CHUNK_BYTES)
            if self._stop.is_set():
                raise StoppedError
            if not chunk:
                raise PassingError(_given_up(url, f"the connection ended {left} bytes early"))
            passed = min(skip, len(chunk))
            skip -= passed
            chunk = chunk[passed : passed + left]
            left -= len(chunk)
            if chunk:
                yield chunk

    @contextlib.contextmanager
    def _answer(self, method: str, url: str, headers: dict[str, str]) -> Iterator[BaseHTTPResponse]:
        with _network(url):
            answer = self._pool.request(
                method, url, headers={**_HEADERS, **headers}, preload_content=False, decode_content=False,
                retries=False, timeout=self._timeout,
            )  # fmt: skip
        self._has_answered = True
        try:
            yield answer
        finally:
            if answer.length_remaining != 0:  # its connection cannot serve the next request
                answer.close()
            answer.release_conn()


def _open_pool(source: str, connections: int) -> urllib3.PoolManager:
    """The connections for `source`, by way of the proxy that the environment names for it, if any."""
    try:
        parsed = urllib3.util.parse_url(source)
    except LocationValueError:
        parsed = urllib3.util.Url()
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query or parsed.fragment:
        raise UsageError(f'source "{source}": expected https://HOST/FOLDER or http://HOST/FOLDER')
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parsed.scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass(parsed.netloc or parsed.host):
        return urllib3.PoolManager(maxsize=connections)
    try:
        address = urllib3.util.parse_url(proxy if "://" in proxy else f"http://{proxy}")
        login = urllib3.util.make_headers(proxy_basic_auth=address.auth) if address.auth else None
        return urllib3.ProxyManager(address._replace(auth=None).url, maxsize=connections, proxy_headers=login)
    except (LocationValueError, ProxySchemeUnknown) as error:
        raise UsageError(f"proxy {proxy}: expected http://HOST:PORT; set {parsed.scheme.upper()}_PROXY") from error


@contextlib.contextmanager
def _network(url: str) -> Iterator[None]:
    """Turn urllib3's errors into what to do about them."""
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
        if isinstance(error, _UNREACHED):
            raise PassingError(UnreachableError(
                f"{host}: cannot be reached ({why}); check the network and HTTPS_PROXY, or name a mirror with --source"
            )) from error  # fmt: skip
        raise PassingError(_given_up(url, why)) from error


def _given_up(url: str, why: str) -> InputError:
    return InputError(f"{url}: given up ({why}); what has come is kept: run the same command again later")


def _expect(url: str, answer: BaseHTTPResponse, *wanted: int) -> None:
    """Raise what an unwanted status means."""
    status = answer.status
    if status in wanted:
        return
    said = f"{status} {answer.reason or ''}".strip()
    if status in _PASSING or status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise PassingError(_given_up(url, f"the server answers {said}"), _retry_after(answer))
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
        raise PassingError(_given_up(url, f"asked for bytes {start}-{end - 1} of {version.size}, was given {extent!r}"))
    if length is not None and length != str(wanted):
        raise PassingError(_given_up(url, f"expected {wanted} bytes, was promised {length}"))
    return start if whole else 0
