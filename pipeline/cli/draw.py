"""`sketchpipe draw`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.run_options import RunOption

if TYPE_CHECKING:
    from pipeline.cli.page_server import PageServer

PAGE = Path("doodle.html")
MARK = b'<meta name="generator" content="sketchpipe">'


def draw(
    run: RunOption = None,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="HTML file to write; doodle.html by default.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Serve the page until Ctrl-C, and write no file.")] = False,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Address to serve at, 0.0.0.0 for the local network; 127.0.0.1 by default."
        ),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to serve at; a free one by default.")] = None,
) -> None:
    """Draw in the browser, and watch the network guess.

    Writes the page of a run, which needs no other file and no network, to the current folder and opens it; without
    --run it is the page of the run that saved a checkpoint last, or of sketchnet-345, which comes with sketchpipe, where
    no run has been trained. Only a page that sketchpipe wrote is ever replaced.

    Over SSH, without a display and where no browser is found, the path is printed and nothing is opened. In WSL the
    browser of Windows opens it. The environment variable BROWSER names another browser.

    --serve serves this one page to the browsers of this machine, and with --host to those of the local network, such as
    a telephone's. Nothing that is drawn is sent anywhere.

    Example: sketchpipe draw --run sketchnet-345
    """
    from pipeline.cli.export_page import make_page
    from pipeline.cli.options import show, size
    from pipeline.cli.run_options import chosen_run
    from pipeline.errors import UsageError
    from pipeline.storage.outputs import check_output_path, check_own, write_output

    if serve and to is not None:
        raise UsageError("--to and --serve: write the page to a file or serve it, not both")
    for name, value in (("--host", host), ("--port", port)):
        if value is not None and not serve:
            raise UsageError(f"{name} goes with --serve")
    path, server = to or PAGE, None
    if serve:
        from pipeline.cli.page_server import LOOPBACK, PageServer

        server = PageServer(host or LOOPBACK, port or 0)  # before the page is made: the port may be taken
    else:
        check_output_path(path, (".html", ".htm"), "page")
        check_own(path, MARK, "sketchpipe")
    chosen = chosen_run(run, or_built_in=True)
    page = make_page(chosen).content
    held = f"{size(len(page))}, {chosen.config.network} for {len(chosen.config.classes)} classes"
    if server is not None:
        server.page = page
        _serve(server, held)
        return
    write_output(path, page)
    show(f"{path}: {held}")
    _open(path, f"open {path} in one, copy it to where one is, or see `sketchpipe draw --serve`")


def _serve(server: "PageServer", held: str) -> None:
    """Serve a page until a signal ends the process."""
    import threading

    from pipeline.cli.options import say, show
    from pipeline.cli.page_server import running
    from pipeline.interrupts import advising

    with running(server), advising("the page is not served any more"):
        show(f"{server.url}: {held}")
        if server.is_open:
            say("other machines of the network can open it too; what is drawn stays in the browser that it is drawn in")
        tunnel = f"ssh -L {server.server_port}:127.0.0.1:{server.server_port} there from here"
        _open(server.url, f"open the address in one, from another machine after {tunnel}")
        say("Ctrl-C ends it")
        threading.Event().wait()


def _open(page: Path | str, remedy: str) -> None:
    from pipeline.cli.browser import open_in_browser
    from pipeline.cli.options import say

    if why := open_in_browser(page):
        say(f"{why}: {remedy}")
