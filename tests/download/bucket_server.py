"""A bucket on loopback: a real HTTP server with ranges, ETags and checksums, that fails in the ways it is told to."""

import base64
import contextlib
import hashlib
import re
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import google_crc32c

PIECE = 1 << 14


@dataclass
class Served:
    """One object.

    Attributes:
        content: its bytes.
        hashes: which checksums are told of it.
        hashed: the bytes that they are of, if other than its own.
        etag: its ETag; "" for none, None for one that its bytes give.
        ranges: whether it is served by range.
        size: the length that is told of it, if other than its own.
        kind: its Content-Type.
    """

    content: bytes
    hashes: tuple[str, ...] = ("crc32c", "md5")
    hashed: bytes | None = None
    etag: str | None = None
    ranges: bool = True
    size: int | None = None
    kind: str = "application/octet-stream"

    def headers(self) -> dict[str, str]:
        proved = self.content if self.hashed is None else self.hashed
        sums = {
            "crc32c": google_crc32c.value(proved).to_bytes(4, "big"),
            "md5": hashlib.md5(proved).digest(),
        }
        told = ",".join(f"{name}={base64.b64encode(sums[name]).decode()}" for name in self.hashes)
        etag = f'"{hashlib.md5(self.content).hexdigest()}"' if self.etag is None else self.etag
        told_of = {"x-goog-hash": told, "ETag": etag, "Content-Type": self.kind}
        return {name: value for name, value in told_of.items() if value}


@dataclass
class Fault:
    """What happens to one GET.

    Attributes:
        status: is answered instead.
        headers: of that answer, or instead of the object's own.
        cut_after: bytes, then the connection is cut.
        hold_after: bytes, then nothing until the bucket is closed.
        flip: the offset of a byte that comes with a bit flipped.
        then: bytes that the object has from now on, before this is answered.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    hold_after: int | None = None
    flip: int | None = None
    then: bytes | None = None


@dataclass(frozen=True)
class Request:
    """A request as it was logged: `start` and `end` of its range, None where it asked for none."""

    method: str
    path: str
    start: int | None = None
    end: int | None = None


class Bucket:
    """The server: its objects by path, the faults of their next GETs, and what was asked of it.

    `head_faults` are statuses that the next HEADs of a path are answered with; with `cuts_heads` none is answered.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Served] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.head_faults: dict[str, list[int]] = {}
        self.cuts_heads = False
        self.log: list[Request] = []
        self.closed = threading.Event()
        self.url = ""

    def put(self, word: str, content: bytes, form: str = "simplified", suffix: str = ".ndjson", **how: Any) -> Served:
        """Serve a word's file; returns it."""
        path = f"/full/{form}/{word.replace(' ', '%20')}{suffix}"
        self.objects[path] = Served(content, **how)
        return self.objects[path]

    def fail(self, word: str, *faults: Fault) -> None:
        """Let the next GETs of a word's simplified file go wrong."""
        self.faults[f"/full/simplified/{word.replace(' ', '%20')}.ndjson"] = list(faults)

    def gets(self, word: str) -> list[tuple[int | None, int | None]]:
        """The ranges that were asked of a word's simplified file, in their order."""
        path = f"/full/simplified/{word.replace(' ', '%20')}.ndjson"
        return [(one.start, one.end) for one in self.log if one.method == "GET" and one.path == path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bucket: Bucket

    def do_HEAD(self) -> None:
        path = urlsplit(self.path).path  # a proxy is asked for whole addresses
        self.bucket.log.append(Request("HEAD", path))
        statuses, served = self.bucket.head_faults.get(path, []), self.bucket.objects.get(path)
        if self.bucket.cuts_heads:
            self.close_connection = True
        elif statuses:
            self._refuse(statuses.pop(0), {})
        elif served is None:
            self._refuse(404, {})
        else:
            self._begin(200, len(served.content) if served.size is None else served.size, served.headers())

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        start, end = (int(match[1]), int(match[2]) + 1) if match else (None, None)
        self.bucket.log.append(Request("GET", path, start, end))
        faults = self.bucket.faults.get(path, [])
        fault = faults.pop(0) if faults else Fault()
        served = self.bucket.objects[path]
        if fault.then is not None:
            served.content = fault.then
        if fault.status is not None:
            self._refuse(fault.status, fault.headers)
            return
        body, status, headers = served.content, 200, served.headers()
        current = self.headers.get("If-Range", headers.get("ETag")) == headers.get("ETag")
        if start is not None and end is not None and served.ranges and current:
            if start >= len(body):
                self._refuse(416, {"Content-Range": f"bytes */{len(body)}"})
                return
            end = min(end, len(body))
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(body)}"
            body, status = body[start:end], 206
        self._begin(status, len(body), {**headers, **fault.headers})
        self._send(body, fault)

    def log_message(self, *_arguments: object) -> None:
        """Nothing: tests read `log`."""

    def _begin(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()

    def _refuse(self, status: int, headers: dict[str, str]) -> None:
        self._begin(status, 0, headers)

    def _send(self, body: bytes, fault: Fault) -> None:
        if fault.flip is not None:
            body = body[: fault.flip] + bytes([body[fault.flip] ^ 1]) + body[fault.flip + 1 :]
        stop = min(len(body), *(at for at in (fault.cut_after, fault.hold_after) if at is not None), len(body))
        for at in range(0, stop, PIECE):
            self.wfile.write(body[at : min(at + PIECE, stop)])
        self.wfile.flush()
        if fault.hold_after is not None:
            self.bucket.closed.wait()
        if fault.cut_after is not None or fault.hold_after is not None:
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: clients that go away, or refuse a certificate, are what is tested."""


@contextlib.contextmanager
def serve(certificate: Path | None = None) -> Iterator[Bucket]:
    """A bucket on a free port; over TLS with a file that holds a key and a certificate."""
    bucket = Bucket()
    handler = type("Handler", (_Handler,), {"bucket": bucket})
    with _Server(("127.0.0.1", 0), handler) as server:
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            scheme = "https"
        bucket.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/full"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield bucket
        finally:
            bucket.closed.set()
            server.shutdown()
            thread.join()


def free_port() -> int:
    """A port on which nobody listens."""
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        return int(server.server_address[1])


def lines_of(word: str, count: int) -> bytes:
    """So many lines of ndjson, no two the same, of lengths that differ."""
    return b"".join(
        b'{"word":"%s","key_id":"%d","drawing":[[%s,%s]]}\n'
        % (word.encode(), key << 21, str([key % 256] * (2 + key % 29)).encode(), str([7] * (2 + key % 29)).encode())
        for key in range(1, count + 1)
    )


def first_bytes(form: str) -> bytes:
    """The beginning of a file of a format, as Google's files have it."""
    if form == "binary":
        return struct.pack("<Q2sbIHH", 1 << 52, b"US", 1, 1_490_000_000, 1, 2) + b"\0\n\xff\0"
    return b"\x93NUMPY\x01\0v\0{'descr': '|u1'" if form == "numpy" else lines_of("cat", 2)
