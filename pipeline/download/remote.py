"""Requests to a server of files: byte ranges of one version, and retries after temporary failures.

After a temporary failure (a cut connection, a short response, 429, 5xx) the request is repeated, with longer and longer
waits while no bytes arrive; any progress resets the count of failures. A permanent failure (404, a certificate) is an
error at once. Before the first response of a server there are fewer retries, because the address or the network
settings are probably wrong.
"""

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

import urllib3
from urllib3.exceptions import HTTPError, SSLError
from urllib3.response import BaseHTTPResponse

from pipeline.download.beginnings import check_type
from pipeline.download.bucket import Version, brief, read_validator, read_version
from pipeline.download.connections import open_pool
from pipeline.download.responses import PassingError, check_extent, expect, passing
from pipeline.download.workers import StoppedError
from pipeline.errors import InputError, SketchpipeError
from pipeline.wording import counted

CHUNK_BYTES = 1 << 18  # at most this much is read at once
_UNREACHED = (urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.ProxyError)
SLOWEST_BYTES = 100  # a second; a slower connection is closed and opened again
SCANT_BYTES = 1 << 16
_TOLD_SECONDS = 2.0  # shorter waits are not reported
# Without this header a server may unpack a stored gzip, and then length and checksum do not match.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "sketchpipe"}

T = TypeVar("T")


class UnreachableError(InputError):
    """A server that cannot be reached at all, so that no other file can be downloaded from it either."""


class ChangedError(SketchpipeError):
    """A file that changed on the server during its download."""


@dataclass(frozen=True)
class Patience:
    """How often to try, and how long to wait.

    Attributes:
        tries: failures in a row, with no bytes in between or only very slow ones, after which to give up.
        scant_tries: failures in a row, each after less than `SCANT_BYTES`, after which to give up.
        first_tries: the same before the first response of a server; fewer, so that the user learns of it soon.
        first_wait_seconds: the wait after the first failure; it doubles with each further one.
        longest_wait_seconds: the longest such wait.
        longest_asked_seconds: give up if the server asks for a longer wait than this (Retry-After).
        connect_seconds: the timeout for a connection.
        read_seconds: the timeout for the next bytes.
        slow_seconds: the longest time for a head, and the time over which at least `SLOWEST_BYTES` a second of a body
            have to come.
    """

    tries: int = 8
    scant_tries: int = 100
    first_tries: int = 2
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 30.0
    longest_asked_seconds: float = 300.0
    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    slow_seconds: float = 60.0


class Remote:
    """The files below one address, read over at most `connections` connections; threads may share it.

    Proxies come from the environment (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY). Certificates are verified.
    Setting `stop` ends waits and reads. `waiting` is called with a message before a wait, from the thread that waits,
    but not for each of several threads that wait at the same time.

    Raises:
        UsageError: the address, or the proxy that the environment names for it, is invalid.
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
        self._pool = open_pool(source, connections, patience.slow_seconds)
        self._host = urllib3.util.parse_url(source).netloc
        self._has_answered = False
        self._told, self._told_until, self._telling = 0.0, 0.0, threading.Lock()
        self._timeout = urllib3.Timeout(connect=patience.connect_seconds, read=patience.read_seconds)

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.clear()

    def version(self, url: str) -> Version:
        """Ask which version is at `url` now.

        Raises:
            InputError: there is no file, or the server does not give it, or it is a web page.
        """

        def ask() -> Version:
            with self._answer("HEAD", url, {}) as answer:
                expect(url, answer, HTTPStatus.OK)
                check_type(url, answer.headers)
                return read_version(url, answer.headers)

        return self.persist(ask)

    @contextlib.contextmanager
    def open_range(self, url: str, version: Version, start: int, end: int) -> Iterator[Iterator[bytes]]:
        """Read bytes `start` to `end` as they arrive; if the server ignores ranges, those before `start` are skipped.

        Raises:
            ChangedError: there is another version now.
            PassingError: the response is not as expected, or ends before `end`; the iterator raises it too.
            InputError: there is no file now, or a web page came.
        """
        headers = {}
        if start or end < version.size:
            headers["Range"] = f"bytes={start}-{end - 1}"
            if version.validator and not version.validator.startswith("W/"):
                headers["If-Range"] = version.validator
        with self._answer("GET", url, headers) as answer:
            expect(url, answer, HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)
            check_type(url, answer.headers)
            if read_validator(answer.headers) != version.validator:
                raise ChangedError(f"{url}: changed while it was downloaded; run the same command again")
            skip = check_extent(url, answer, version, start, end)
            yield self._read(url, answer, skip, end - start)

    def persist(self, attempt: Callable[[], T], reached: Callable[[], int] = int) -> T:
        """Call `attempt`, and again after each temporary failure, until it succeeds or there were too many.

        Args:
            attempt: the work; raises PassingError for a temporary failure.
            reached: how far the attempts have come; if that is farther than before, the count of failures restarts.
        """
        failures, scant, farthest = 0, 0, reached()
        while True:
            if self._stop.is_set():
                raise StoppedError
            try:
                return attempt()
            except PassingError as error:
                gained = reached() - farthest
                failures = 1 if gained > 0 and not error.is_slow else failures + 1
                scant = scant + 1 if gained < SCANT_BYTES else 0
                farthest = max(farthest, reached())
                wait = self._wait(failures, error)
                tries = self._patience.tries if self._has_answered else self._patience.first_tries
                if failures >= tries or scant >= self._patience.scant_tries or wait is None:
                    raise error.final from error
                self._tell(error.why, wait)
                self._stop.wait(wait)

    def _tell(self, why: str, wait: float) -> None:
        """Report a wait, unless it is short or one as long is already reported and not over: threads fail together."""
        now = time.monotonic()
        with self._telling:
            if wait < _TOLD_SECONDS or (now < self._told_until and wait <= self._told):
                return
            self._told, self._told_until = wait, now + wait
            self._waiting(f"{self._host}: {why}, waiting {wait:.0f} s")

    def _wait(self, failures: int, error: PassingError) -> float | None:
        """Seconds until the next attempt; None if the server asks for a longer wait than is allowed."""
        if error.wait_seconds is not None:
            return error.wait_seconds if error.wait_seconds <= self._patience.longest_asked_seconds else None
        return min(self._patience.first_wait_seconds * 2.0 ** (failures - 1), self._patience.longest_wait_seconds)

    def _read(self, url: str, answer: BaseHTTPResponse, skip: int, left: int) -> Iterator[bytes]:
        """Read `left` bytes after skipping `skip` bytes."""
        came, begun = 0, time.monotonic()
        while left:
            with _network(url, is_reached=True):
                # Not read(): if the connection is cut, it would lose the bytes that came before.
                chunk = answer.read1(CHUNK_BYTES)
            if self._stop.is_set():
                raise StoppedError
            if not chunk:
                raise passing(url, f"the connection ended {counted(left, 'byte')} early")
            came, seconds = came + len(chunk), time.monotonic() - begun
            if seconds >= self._patience.slow_seconds:
                if came < SLOWEST_BYTES * seconds and len(chunk) < skip + left:
                    raise passing(url, f"only {counted(came, 'byte')} came in {seconds:.0f} s", is_slow=True)
                came, begun = 0, time.monotonic()
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
            # A connection can be used again only if its response was read to the end, even an empty one.
            (answer.drain_conn if answer.length_remaining == 0 else answer.close)()
            answer.release_conn()


@contextlib.contextmanager
def _network(url: str, *, is_reached: bool) -> Iterator[None]:
    """Turn urllib3's errors into ours; `is_reached` says whether the server has responded before."""
    try:
        yield
    except HTTPError as error:
        host = urllib3.util.parse_url(url).netloc
        why = brief(str(error.args[-1] if error.args else error).rpartition("): ")[2])
        if isinstance(error, SSLError) and isinstance(error.args[0], ssl.SSLCertVerificationError):
            raise UnreachableError(
                f"{host}: its certificate cannot be verified ({error.args[0].verify_message}); "
                "if an authority of your own signed it, name that authority's certificates with SSL_CERT_FILE"
            ) from error
        if isinstance(error, _UNREACHED) or not is_reached:
            raise PassingError(UnreachableError(
                f"{host}: cannot be reached ({why}); check the network and HTTPS_PROXY, or name a mirror with --source"
            ), why) from error  # fmt: skip
        raise passing(url, why) from error
