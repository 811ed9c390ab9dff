"""`sketchpipe draw` writes or serves the page, and opens it where there is a browser."""

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.cli.draw import MARK
from tests.runs.fresh_runs import fresh_run
from tests.small import command, in_process, kernels_kept

NOTES = '#!/bin/sh\necho "$(basename "$0") $*" >>"$NOTES"\n'  # a browser that notes what it is asked to open
OPEN = "import sys; from pathlib import Path; from pipeline.cli.browser import open_in_browser as o; print(o(%s))"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder for programs, the only one that is searched for them beside the system's."""
    (tmp_path / "programs").mkdir()
    return tmp_path / "programs"


def program(folder: Path, name: str, text: str = NOTES) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def opened(programs: Path, page: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Why a page was not opened, and what the browsers were asked to open."""
    notes = programs / "notes"
    path = {"PATH": f"{programs}:/usr/bin:/bin", "NOTES": str(notes), "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-c", OPEN % page], env={**path, **environment}, cwd=programs, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return ran.stdout.strip(), notes.read_text().strip() if notes.exists() else ""


FILE, URL = 'Path("my page.html")', '"http://127.0.0.1:8000/"'


def test_the_browser_of_the_environment_opens_the_page(programs: Path) -> None:
    program(programs, "surf")
    for more in ({}, {"SSH_CONNECTION": "a 1 b 22"}, {"DISPLAY": ":0"}):
        found = opened(programs, FILE, {"BROWSER": str(programs / "surf"), **more})
        assert found == ("", f"surf {(programs / 'my page.html').as_uri()}")
        (programs / "notes").unlink()
    assert opened(programs, URL, {"BROWSER": "surf"}) == ("", "surf http://127.0.0.1:8000/")


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"SSH_CONNECTION": "a 1 b 22", "DISPLAY": ":0"}, "no browser is opened over SSH"),
        ({}, "no browser is opened without a display"),
    ],
)
def test_no_browser_is_opened_where_nobody_would_see_it(
    programs: Path, environment: Mapping[str, str], why: str
) -> None:
    if sys.platform != "linux" and not environment:
        pytest.skip("only Linux says whether there is a display")
    program(programs, "xdg-open")
    program(programs, "www-browser")
    assert opened(programs, FILE, environment) == (why, "")


def test_in_wsl_the_browser_of_windows_opens_the_page(programs: Path) -> None:
    wsl = {"WSL_DISTRO_NAME": "Debian"}
    assert opened(programs, FILE, wsl) == ("no browser was found: install wslu, or open it in Windows", "")
    program(programs, "explorer.exe", f"{NOTES}exit 1\n")
    assert opened(programs, FILE, wsl)[1] == ""  # a file needs its path in Windows
    program(programs, "wslpath", '#!/bin/sh\nprintf "%s\\\\\\\\%s\\n" "C:" "$2"\n')
    why, asked = opened(programs, FILE, wsl)
    assert (why, asked.endswith("my page.html")) == ("", True)
    assert opened(programs, URL, wsl)[0] == ""
    (programs / "notes").unlink()
    program(programs, "wslview")
    assert opened(programs, FILE, wsl) == ("", "wslview my page.html")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("draw")
    fresh_run(folder / "runs" / "001-sketchnet", "sketchnet")
    return folder


def test_over_ssh_the_page_is_written_and_its_path_printed(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BROWSER", raising=False)
    monkeypatch.setenv("SSH_CONNECTION", "a 1 b 22")
    ran = in_process("draw", cwd=work)
    assert ran.returncode == 0, ran.stderr
    page = (work / "doodle.html").read_bytes()
    assert MARK in page[:4096]
    assert ran.stdout == f"doodle.html: {len(page) / 1e6:.1f} MB, sketchnet for 5 classes\n"
    remedy = "open doodle.html in one, copy it to where one is, or see `sketchpipe draw --serve`"
    assert ran.stderr.splitlines()[-1] == f"no browser is opened over SSH: {remedy}"
    assert in_process("draw", "--to", "sub/other.html", cwd=work).returncode == 0
    assert (work / "sub" / "other.html").read_bytes() == page
    assert in_process("draw", cwd=work).returncode == 0  # its own file is replaced


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--serve", "--to", "a.html"), 2, "--to and --serve: write the page to a file or serve it, not both"),
        (("--host", "0.0.0.0"), 2, "--host goes with --serve"),
        (("--port", "8000"), 2, "--port goes with --serve"),
        (("--serve", "--port", "70000"), 2, "--port 70000: expected a number from 1 to 65535"),
        (("--to", "a.png"), 2, "let its name end in .html"),
        (("--to", "mine.html"), 6, "mine.html: already exists, and sketchpipe did not write it"),
        (("--run", "none"), 3, "none: no run here"),
        (("--to", "/proc/new/a.html"), 6, "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(work: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    (work / "mine.html").write_text("<p>mine")
    ran = in_process("draw", *arguments, cwd=work)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert message in ran.stderr.splitlines()[-1]
    assert (work / "mine.html").read_text() == "<p>mine"


@pytest.mark.long
def test_the_page_is_served_until_the_command_is_interrupted(work: Path, programs: Path) -> None:
    program(programs, "surf")
    environment = {**kernels_kept(), "BROWSER": str(programs / "surf"), "NOTES": str(programs / "notes")}
    with subprocess.Popen(
        command("draw", "--serve"), cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().partition(": ")[0]
        told = []
        while not told or told[-1] not in ("Ctrl-C ends it\n", ""):
            told.append(process.stderr.readline())
        with urllib.request.urlopen(url) as answer:
            page = answer.read()
        process.send_signal(signal.SIGINT)
        last = process.stderr.read()
        assert process.wait() == 130
    assert MARK in page[:4096]
    assert (programs / "notes").read_text() == f"surf {url}\n"
    assert last == "sketchpipe: interrupted; the page is not served any more\n"


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_page_writes_the_page() -> None:
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        ["make", "--no-print-directory", "-n", "page"], cwd=root, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == ".venv/bin/sketchpipe export --to doodle.html"
