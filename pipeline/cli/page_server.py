"""Serves one page from memory to the browsers of this machine, or of the local network."""

import contextlib
import socket
import socketserver
import sys
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pipeline.errors import UsageError

LOOPBACK = "127.0.0.1"
_IDLE_SECONDS = 30  # after which a connection without a request is closed
_PIECE = 1 << 16  # bytes
_ELSEWHERE = ("192.0.2.1", 9)  # of RFC 5737, which nobody has


class PageServer(ThreadingHTTPServer):
    """Serves `page`, the bytes of an HTML file, at / to whoever asks, each in a thread, until it is shut down.

    Args:
        host: an address of this machine, or a name that has one.
        port: 0 takes a free one.

    Raises:
        UsageError: nothing can be served there.
    """

    daemon_threads = True
    block_on_close = False

    page = b""

    def __init__(self, host: str = LOOPBACK, port: int = 0) -> None:
        if not 0 <= port < 1 << 16:
            raise UsageError(f"--port {port}: expected a number from 1 to 65535, or 0 for any that is free")
        try:
            (self.address_family, *_, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            super().__init__((str(address[0]), port), _PageHandler)
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise UsageError(
                f"--host {host} --port {port}: nothing can be served there ({why}); name an address of this machine "
                "and a port that is free"
            ) from error

    def server_bind(self) -> None:
        """Bind the address, without looking up its name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    @property
    def is_open(self) -> bool:
        """Whether other machines can reach it."""
        return not (self.server_name.startswith("127.") or self.server_name == "::1")

    @property
    def url(self) -> str:
        """Where the page is, for other machines too if they can reach it."""
        host = self.server_name
        if host in ("0.0.0.0", "::"):
            host = _own_address() or socket.gethostname()
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went away; anything else is a bug."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _PageHandler(BaseHTTPRequestHandler):
    """Answers GET and HEAD of / with the page, of anything else with 404, and other methods with 501."""

    server: PageServer
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        with contextlib.suppress(ConnectionError):
            body = memoryview(self._head())
            for start in range(0, len(body), _PIECE):  # the timeout is for each piece, not for the whole page
                self.wfile.write(body[start : start + _PIECE])

    def do_HEAD(self) -> None:
        self._head()

    def _head(self) -> bytes:
        """Send the head of the answer; returns its body."""
        is_page = self.path.partition("?")[0] == "/"
        body = self.server.page if is_page else b"Nothing is here; the page is at /\n"
        self.send_response(HTTPStatus.OK if is_page else HTTPStatus.NOT_FOUND)
        self.send_header("Content-Type", f"text/{'html' if is_page else 'plain'}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")  # a page of another run may come to the same port
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")  # the page itself cannot say this
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        return body

    def version_string(self) -> str:
        """What the answers say of the server."""
        return "sketchpipe"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing of requests."""


@contextlib.contextmanager
def running(server: PageServer) -> Iterator[PageServer]:
    """Inside, another thread answers requests, so that a browser can be started meanwhile."""
    import threading

    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _own_address() -> str | None:
    """The address by which other machines know this one; None without a network. Nothing is sent."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(_ELSEWHERE)
        return str(probe.getsockname()[0])
    return None
