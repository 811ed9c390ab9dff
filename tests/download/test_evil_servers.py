"""Servers that break HTTP, or keep to it to do harm: each ends soon, in one line that a terminal only shows."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.download.fetch_files import download
from pipeline.download.plan import DownloadOptions
from pipeline.download.remote import Patience
from pipeline.errors import SketchpipeError
from pipeline.wording import visible
from tests.download.downloads import fails, hidden, run
from tests.download.evil_server import BODY, LONG_LINE, MODES, serve_evil

pytestmark = pytest.mark.long

HARMLESS = {  # which are downloaded all the same
    "plain", "modified-far", "etag-escape", "continue-many", "line-long", "empty", "body-longer",
}  # fmt: skip
SAID = {
    "length-long": (3, "no file has the length that the server gives, 9999"),
    "length-huge": (6, "1,000,000,000,000,000,000 bytes are needed"),
    "length-negative": (3, "does not give its length"),
    "length-arabic": (3, "does not give its length"),
    "length-missing": (3, "does not give its length"),
    "retry-long": (3, "503 busy and asks to wait 1,000,000,000,000,000,000 s"),
    "retry-year": (3, "503 busy and asks to wait "),
    "retry-far": (3, "gave up (the server responded 503 busy)"),
    "retry-negative": (3, "gave up (the server responded 503 busy)"),
    "hash-escape": (3, "is not a valid checksum"),
    "hash-wrong": (4, "its md5 should be 30303030"),
    "etag-other": (3, "changed while it was downloaded"),
    "content-other": (4, "its md5 should be"),
    "gzip": (3, "the server sends gzip, which was not requested"),
    "to-file": (3, "has moved (302 Found) to file:///etc/passwd"),
    "to-other": (3, r"to http://127.0.0.2:1/\x1b[31mRED"),
    "reason-escape": (3, r"404 \x1b[31mRED"),
    "continue-endless": (3, "the server sends headers without end"),
    "continue-dribbled": (3, "the server took more than 1 s for one answer"),
    "head-dribbled": (3, "the server took more than 1 s for one answer"),
    "chunks-dribbled": (3, "the server took more than 1 s for one answer"),
    "trailer-endless": (3, "the server sends headers without end"),
    "body-dribbled": (3, " came in 1 s)"),
}
PATIENCE = Patience(tries=2, scant_tries=5, first_wait_seconds=0.0, slow_seconds=1.0)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serve_evil() as address:
        yield address


def test_every_mode_that_is_judged_exists() -> None:
    assert set(SAID) | HARMLESS <= set(MODES)


# urllib3 leaves a response whose head it refuses to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("mode", MODES)
def test_a_server_of_this_mode_ends_in_one_printable_line(server: str, tmp_path: Path, mode: str) -> None:
    folder, start = tmp_path / "quickdraw", time.monotonic()
    options = DownloadOptions(source=f"{server}/{mode}")
    if mode in HARMLESS:
        assert download(("cat",), folder, options, patience=PATIENCE).fetched == ["cat"]
        assert (folder / "cat.ndjson").read_bytes() in (BODY, LONG_LINE, b"")
        return
    said: list[str] = []
    try:
        outcome = download(("cat",), folder, options, patience=PATIENCE, waiting=said.append)
    except SketchpipeError as error:
        failed: SketchpipeError | None = error
    else:
        failed = outcome.failures.get("cat")
    assert time.monotonic() - start < 30
    assert failed is not None
    line = visible(str(failed))
    code, part = SAID.get(mode, (3, ""))
    assert failed.exit_code == code, line
    assert part in line
    assert len(line) < 700
    assert not (folder / "cat.ndjson").exists()
    kept = [name for name in hidden(folder) if name.endswith(".partial")] if folder.exists() else []
    for name in kept:  # what is kept can be resumed
        assert BODY.startswith((folder / ".download" / name).read_bytes())


@pytest.mark.parametrize("mode", ["length-long", "retry-long", "reason-escape", "to-other"])
def test_the_command_ends_in_one_line_without_a_traceback(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, part = SAID[mode]
    fails(run(f"{server}/{mode}", "cat"), code, part)


@pytest.mark.parametrize("lines", [1, 10])
def test_a_beginning_of_few_drawings_costs_few_bytes_however_long_its_lines_are(
    server: str, tmp_path: Path, lines: int
) -> None:
    options = DownloadOptions(source=f"{server}/line-long", drawings_per_class=lines)
    outcome = download(("cat",), tmp_path / "quickdraw", options, patience=PATIENCE)
    assert "lines of more than 104,600 bytes came instead of drawings" in str(outcome.failures["cat"])
    assert outcome.received < 110_000 * lines
    shutil.rmtree(tmp_path / "quickdraw", ignore_errors=True)
    plain = DownloadOptions(source=f"{server}/plain", drawings_per_class=lines)
    assert download(("cat",), tmp_path / "quickdraw", plain, patience=PATIENCE).received < 2_500 * lines
