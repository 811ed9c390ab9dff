"""A server on loopback that breaks the rules of HTTP, or keeps them to do harm: each of its modes is an address."""

import base64
import contextlib
import hashlib
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.download.bucket_server import lines_of

BODY = lines_of("cat", 1_000)
MD5 = base64.b64encode(hashlib.md5(BODY).digest()).decode()
GOOD = (f"x-goog-hash: md5={MD5}", 'ETag: "a"')
ESCAPE = "\x1b[31mRED\x1b]0;title\x07\x9b1m"
LONG_LINE = b'{"drawing":' + b" " * 3_000_000
LONG = "9" * 5_000


@dataclass
class Asked:
    """A request: its method and range, how many of its mode there were by then, and when the server is closed."""

    connection: socket.socket
    method: str
    start: int | None
    end: int | None
    count: int
    closed: threading.Event

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.connection.sendall(piece)

    def reply(self, status: str = "200 OK", *headers: str, body: bytes = BODY, length: object = None) -> None:
        """Answer with a body, or a part of it, as a decent server does but for what is given."""
        if self.start is not None and self.end is not None and status.startswith("200"):
            headers = (*headers, f"Content-Range: bytes {self.start}-{self.end}/{len(body)}")
            body, status = body[self.start : self.end + 1], "206 Partial Content"
        told = f"Content-Length: {len(body) if length is None else length}"
        self.send("\r\n".join((f"HTTP/1.1 {status}", *headers, told, "Connection: close", "", "")).encode("latin-1"))
        if self.method != "HEAD":
            self.send(body)

    def begin(self, *headers: str) -> bool:
        """Answer a HEAD as a decent server does, or send the head of a GET; whether a body should follow."""
        if self.method == "HEAD":
            self.reply("200 OK", *GOOD)
            return False
        self.send("\r\n".join(("HTTP/1.1 200 OK", GOOD[1], *headers, "", "")).encode())
        return True

    def dribble(self, text: bytes, pause: float = 0.02) -> None:
        """Send a byte at a time until the client has had enough."""
        for k in range(10_000):
            self.send(text[k % len(text) :][:1])
            if self.closed.wait(pause):
                return


def endless(asked: Asked, head: bytes, piece: bytes) -> None:
    """Send `piece` until the client has had enough."""
    asked.send(head)
    while not asked.closed.is_set():
        asked.send(piece * 100)


def chunked(asked: Asked, *pieces: bytes) -> None:
    if asked.begin("Transfer-Encoding: chunked"):
        asked.send(*pieces)


def endless_chunked(asked: Asked, head: bytes, piece: bytes) -> None:
    if asked.begin("Transfer-Encoding: chunked"):
        endless(asked, head, piece)


def long_line(asked: Asked) -> None:
    asked.reply("200 OK", 'ETag: "a"', body=LONG_LINE)


def swapped(asked: Asked) -> None:
    """Other content of the same length once it was asked about; the checksum is of the first."""
    asked.reply("200 OK", *GOOD, body=BODY if asked.count < 2 else BODY.replace(b"cat", b"dog"))


def one_byte(asked: Asked) -> None:
    """One byte with each answer."""
    if asked.method == "HEAD":
        asked.reply("200 OK", *GOOD)
        return
    start = asked.start or 0
    extent = f"Content-Range: bytes {start}-{len(BODY) - 1}/{len(BODY)}"
    asked.send(f'HTTP/1.1 206 P\r\nETag: "a"\r\n{extent}\r\nContent-Length: {len(BODY) - start}\r\n\r\n'.encode())
    asked.send(BODY[start : start + 1])


def shifted(asked: Asked) -> None:
    if asked.method == "HEAD":
        asked.reply("200 OK", *GOOD)
        return
    extent = f"Content-Range: bytes 5-{len(BODY) - 1}/{len(BODY)}"
    asked.send(f'HTTP/1.1 206 P\r\nETag: "a"\r\n{extent}\r\nContent-Length: {len(BODY) - 5}\r\n\r\n'.encode(), BODY[5:])


def continued(asked: Asked) -> None:
    asked.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 2_000)
    asked.reply("200 OK", *GOOD)


def dribbled_body(asked: Asked) -> None:
    if asked.begin(f"Content-Length: {len(BODY)}"):
        asked.dribble(BODY)


def dribbled_chunks(asked: Asked) -> None:
    if asked.begin("Transfer-Encoding: chunked"):
        asked.dribble(b"0" * 64)


def busy(*headers: str) -> Callable[[Asked], None]:
    return lambda asked: asked.reply("503 busy", *headers, body=b"")


def moved(to: str) -> Callable[[Asked], None]:
    return lambda asked: asked.reply("302 Found", f"Location: {to}", body=b"")


def told(*headers: str, length: object = None) -> Callable[[Asked], None]:
    return lambda asked: asked.reply("200 OK", *headers, length=length)


def raw(*pieces: bytes) -> Callable[[Asked], None]:
    return lambda asked: asked.send(*pieces)


MODES: dict[str, Callable[[Asked], None]] = {
    "plain": told(*GOOD),
    "length-long": told(*GOOD, length=LONG),
    "length-huge": told(*GOOD, length=10**18),
    "length-negative": told(*GOOD, length=-5),
    "length-arabic": raw(b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n"),
    "length-twice": told(*GOOD, "Content-Length: 5"),
    "length-missing": raw(b"HTTP/1.1 200 OK\r\n\r\n"),
    "range-long": lambda asked: asked.reply("206 P", *GOOD, f"Content-Range: bytes 0-{LONG}/{LONG}")
    if asked.method == "GET" else asked.reply("200 OK", *GOOD),
    "range-shifted": shifted,
    "retry-long": busy(f"Retry-After: {LONG}"),
    "retry-far": busy("Retry-After: Fri, 31 Dec 99999999999 23:59:59 GMT"),
    "retry-year": busy("Retry-After: Fri, 31 Dec 9999 23:59:59 GMT"),
    "retry-past": busy("Retry-After: Fri, 01 Jan 0001 00:00:00 -2359"),
    "retry-negative": busy("Retry-After: -5"),
    "retry-arabic": lambda asked: asked.send(b"HTTP/1.1 503 busy\r\nRetry-After: \xb2\r\nContent-Length: 0\r\n\r\n"),
    "modified-far": told(f"x-goog-hash: md5={MD5}", "Last-Modified: Fri, 31 Dec 99999999999 23:59:59 GMT"),
    "hash-escape": told("x-goog-hash: md5=" + ESCAPE),
    "hash-long": told("x-goog-hash: md5=" + "A" * 60_000),
    "hash-wrong": told("x-goog-hash: md5=" + base64.b64encode(b"0" * 16).decode(), 'ETag: "a"'),
    "etag-escape": told(f"x-goog-hash: md5={MD5}", f"ETag: {ESCAPE}"),
    "etag-other": lambda asked: asked.reply("200 OK", f"x-goog-hash: md5={MD5}", f'ETag: "{asked.count}"'),
    "content-other": swapped,
    "gzip": told(*GOOD, "Content-Encoding: gzip"),
    "encoding-escape": told(*GOOD, "Content-Encoding: " + ESCAPE),
    "to-file": moved("file:///etc/passwd"),
    "to-other": moved("http://127.0.0.2:1/" + ESCAPE),
    "to-itself": moved("/to-itself/simplified/cat.ndjson"),
    "to-long": moved("/" + "x" * 60_000),
    "reason-escape": lambda asked: asked.reply(f"404 {ESCAPE}", body=b""),
    "reason-long": lambda asked: asked.reply("404 " + "x" * 60_000, body=b""),
    "status-long": raw(b"HTTP/1.1 99999999999 X\r\n\r\n"),
    "garbage": raw(b"\x00\xff\xfe garbage\r\n\r\n"),
    "http-0.9": raw(b"<html>"),
    "headers-many": told(*(f"X-{k}: y" for k in range(300))),
    "header-long": told("X: " + "y" * 200_000),
    "headers-endless": lambda asked: endless(asked, b"HTTP/1.1 200 OK\r\n", b"X: " + b"z" * 1_000 + b"\r\n"),
    "header-endless": lambda asked: endless(asked, b"HTTP/1.1 200 OK\r\nX: ", b"z" * 1_000),
    "continue-many": continued,
    "continue-endless": lambda asked: endless(asked, b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "continue-dribbled": lambda asked: asked.dribble(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "head-dribbled": lambda asked: asked.dribble(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 60_000),
    "body-dribbled": dribbled_body,
    "chunks-dribbled": dribbled_chunks,
    "chunks-endless": lambda asked: endless_chunked(asked, b"", b"400\r\n" + b"x" * 1_024 + b"\r\n"),
    "chunks-lie": lambda asked: chunked(asked, b"FFFFFFFFFFFFFFFFFFFF\r\nabc"),
    "chunk-length-endless": lambda asked: endless_chunked(asked, b"", b"0" * 1_000),
    "trailer-endless": lambda asked: endless_chunked(asked, b"0\r\n", b"X: y\r\n"),
    "body-longer": lambda asked: asked.send(BODY, BODY) if asked.begin(f"Content-Length: {len(BODY)}") else None,
    "one-byte": one_byte,
    "line-long": long_line,
    "empty": lambda asked: asked.reply("200 OK", body=b""),
}  # fmt: skip


@contextlib.contextmanager
def serve_evil() -> Iterator[str]:
    """The address of the server; a mode is a folder of it."""
    counts: dict[str, int] = {}
    closed = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                asked = b""
                while b"\r\n\r\n" not in asked:
                    if not (more := self.request.recv(1 << 16)):
                        return
                    asked += more
                method, path, _ = asked.split(b"\r\n")[0].decode().split(" ", 2)
                span = re.search(rb"Range: bytes=(\d+)-(\d+)", asked)
                mode = path.split("/")[1]
                counts[mode] = counts.get(mode, 0) + 1
                start, end = (int(span[1]), int(span[2])) if span else (None, None)
                MODES[mode](Asked(self.request, method, start, end, counts[mode], closed))

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            closed.set()
            server.shutdown()
            thread.join()
