"""Connections to a server of files, through the proxy of the environment; no server can hold one for ever.

A timeout of a socket ends a silence, but not a head that never ends, "100 Continue" without end, or bytes that come one
at a time. So each step of a response, its head or one piece of its body, may take only so many bytes and seconds.
"""

import http.client
import io
import time
import urllib.request
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import LocationValueError, ProxySchemeUnknown

from pipeline.errors import UsageError

STEP_BYTES = 1 << 18  # of a head with all that comes before it, or beside the wanted bytes of a body


class EndlessError(http.client.HTTPException):
    """A step of a response that has more bytes or takes longer than it may."""


class _LimitedStream(io.RawIOBase):
    """What comes from a socket, as long as the step that reads it keeps within its limits."""

    def __init__(self, stream: Any, step_seconds: float) -> None:
        super().__init__()
        self._stream, self._seconds = stream, step_seconds
        self.begin_step()

    def begin_step(self, wanted: int = 0) -> None:
        """Begin a step that may take `wanted` bytes and what belongs to them."""
        self._left, self._end = wanted + STEP_BYTES, time.monotonic() + self._seconds

    def readinto(self, buffer: Any) -> int | None:
        """Read what is there; raises `EndlessError` if the step has gone on for too long."""
        count: int | None = self._stream.readinto(buffer)
        self._left -= count or 0
        if self._left < 0:
            raise EndlessError("the server sends headers without end")
        if time.monotonic() > self._end:
            raise EndlessError(f"the server took more than {self._seconds:.0f} s for one answer")
        return count

    def readable(self) -> bool:
        """True."""
        return True

    def close(self) -> None:
        """Close the socket's own stream."""
        self._stream.close()
        super().close()


class _LimitedResponse(http.client.HTTPResponse):
    """A response of which each step is limited."""

    step_seconds: float

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limited = _LimitedStream(self.fp.detach(), self.step_seconds)
        self.fp = io.BufferedReader(self._limited)

    def read1(self, n: int = -1) -> bytes:
        """Read what has come of the body, as one step."""
        self._limited.begin_step(max(n, 0))
        return super().read1(n)


def open_pool(source: str, connections: int, step_seconds: float) -> urllib3.PoolManager:
    """A pool of connections to `source`, through the proxy that the environment names for it, if any.

    Args:
        source: the address of the server.
        connections: how many connections to keep open.
        step_seconds: how long a head, or one piece of a body, may take.

    Raises:
        UsageError: the address, or the proxy that the environment names for it, is invalid.
    """
    try:
        parsed = urllib3.util.parse_url(source)
        (parsed.host or "").encode("idna")  # fails if a label is empty or over 63 characters: no resolver takes it
    except (LocationValueError, UnicodeError):
        parsed = urllib3.util.Url()
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query or parsed.fragment:
        raise UsageError(f'source "{source}": expected https://HOST/FOLDER or http://HOST/FOLDER')
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parsed.scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass(parsed.netloc or parsed.host):
        return _limited(urllib3.PoolManager(maxsize=connections), step_seconds)
    try:
        address = urllib3.util.parse_url(proxy if "://" in proxy else f"http://{proxy}")
        (address.host or "").encode("idna")
        login = urllib3.util.make_headers(proxy_basic_auth=address.auth) if address.auth else None
        manager = urllib3.ProxyManager(address._replace(auth=None).url, maxsize=connections, proxy_headers=login)
    except (LocationValueError, ProxySchemeUnknown, UnicodeError) as error:
        raise UsageError(f"proxy {proxy}: expected http://HOST:PORT; set {parsed.scheme.upper()}_PROXY") from error
    return _limited(manager, step_seconds)


def _limited(manager: urllib3.PoolManager, seconds: float) -> urllib3.PoolManager:
    """Let each step of the responses that come through a manager take so many seconds."""

    class Response(_LimitedResponse):
        step_seconds = seconds

    class Connection(HTTPConnection):
        response_class = Response

    class SecureConnection(HTTPSConnection):
        response_class = Response

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    manager.pool_classes_by_scheme = {"http": Pool, "https": SecurePool}
    return manager
