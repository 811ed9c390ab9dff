"""The server of `sketchpipe draw --serve` answers with one page, and with nothing else."""

import http.client
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from pipeline.cli.page_server import PageServer, running
from pipeline.errors import UsageError

PAGE = b"<!DOCTYPE html><title>caf\xc3\xa9</title>" + os.urandom(1 << 20)


@pytest.fixture
def server() -> Iterator[PageServer]:
    one = PageServer()
    one.page = PAGE
    with running(one):
        yield one


def ask(server: PageServer, method: str, path: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(server.server_name, server.server_port, timeout=60)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/", "/?", "/?from=mail"])
def test_the_page_is_at_the_root(server: PageServer, path: str) -> None:
    answer, body = ask(server, "GET", path)
    assert (answer.status, body) == (200, PAGE)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Server"] == "sketchpipe"
    head, nothing = ask(server, "HEAD", path)
    assert (head.status, nothing, head.headers["Content-Length"]) == (200, b"", str(len(PAGE)))


@pytest.mark.parametrize(
    "path", ["/doodle.html", "/favicon.ico", "/../etc/passwd", "/%2e%2e/", "/etc/passwd", "*", "http://a.org/"]
)
def test_nothing_else_is_there(server: PageServer, path: str) -> None:
    answer, body = ask(server, "GET", path)
    assert (answer.status, answer.headers["Content-Type"]) == (404, "text/plain; charset=utf-8")
    assert body == b"Nothing is here; the page is at /\n"
    assert ask(server, "HEAD", path)[1] == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_can_be_sent_to_it(server: PageServer, method: str) -> None:
    assert ask(server, method, "/")[0].status == 501


def test_a_connection_serves_several_requests_and_others_are_served_meanwhile(server: PageServer) -> None:
    idle = socket.create_connection((server.server_name, server.server_port))
    connection = http.client.HTTPConnection(server.server_name, server.server_port, timeout=60)
    for _ in range(3):
        connection.request("GET", "/")
        assert connection.getresponse().read() == PAGE
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(ask(server, "GET", "/")[1])) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == 16 * [PAGE]
    connection.close()
    idle.close()


def test_a_browser_that_goes_away_leaves_no_trace(server: PageServer, capfd: pytest.CaptureFixture[str]) -> None:
    for request in (b"GET / HTTP/1.1\r\n\r\n", b"GET", b"\x16\x03\x01\x02\x00", b""):
        with socket.create_connection((server.server_name, server.server_port)) as gone:
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closes with a reset
            gone.sendall(request)
    assert ask(server, "GET", "/")[1] == PAGE
    assert capfd.readouterr() == ("", "")


def test_only_this_machine_reaches_it_unless_another_address_is_named(server: PageServer) -> None:
    assert server.url == f"http://127.0.0.1:{server.server_port}/"
    assert not server.is_open
    with pytest.raises(OSError, match=r"refused|assign"), socket.create_connection(("127.0.0.2", server.server_port)):
        pass
    with PageServer("0.0.0.0") as everywhere:
        assert everywhere.is_open
        assert "0.0.0.0" not in everywhere.url
        assert everywhere.url.endswith(f":{everywhere.server_port}/")


def test_an_address_of_version_6_is_written_with_brackets() -> None:
    try:
        one = PageServer("::1")
    except UsageError:
        pytest.skip("this machine has no IPv6")
    with one:
        assert one.url == f"http://[::1]:{one.server_port}/"
        assert not one.is_open


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("192.0.2.1", 0, "--host 192.0.2.1 --port 0: nothing can be served there"),
        ("no such host", 0, "--host no such host --port 0: nothing can be served there"),
        ("x" * 300, 0, "nothing can be served there"),
        ("127.0.0.1", 65536, "--port 65536: expected a number from 1 to 65535"),
        ("127.0.0.1", -1, "--port -1: expected"),
    ],
)
def test_an_address_where_nothing_can_be_served_is_an_error(host: str, port: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PageServer(host, port)


def test_a_port_that_is_taken_is_an_error(server: PageServer) -> None:
    with pytest.raises(UsageError, match=r"\(Address already in use\); name an address of this machine and a port"):
        PageServer("127.0.0.1", server.server_port)
