"""Downloads from a bucket on loopback: in this process without patience, and by the real command."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from pipeline.download.fetch_files import Outcome, download
from pipeline.download.plan import DownloadOptions
from pipeline.download.remote import Patience
from tests.download.bucket_server import Bucket, lines_of

CAT = lines_of("cat", 9_000)  # some 1.5 MB, several times what is read at once
OTHER = b"".join(reversed(CAT.splitlines(keepends=True)))  # as long
HASTY = Patience(tries=3, first_wait_seconds=0.0)
SKETCHPIPE = Path(sys.executable).with_name("sketchpipe")
NO_PROXY = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"), "")


def fetch(bucket: Bucket, folder: Path, *words: str, patience: Patience = HASTY, **options: Any) -> Outcome:
    """Download words, "cat" by default."""
    return download(words or ("cat",), folder, DownloadOptions(source=bucket.url, **options), patience=patience)


def failure(bucket: Bucket, folder: Path, **options: Any) -> Exception:
    """Why "cat" could not be downloaded."""
    return fetch(bucket, folder, **options).failures["cat"]


def hidden(folder: Path) -> list[str]:
    """What stands in the folder's hidden one."""
    return sorted(path.name for path in (folder / ".download").iterdir())


def begin(bucket: Bucket | str, *words: str, **environment: str) -> subprocess.Popen[str]:
    """The command, begun."""
    source = bucket if isinstance(bucket, str) else bucket.url
    return subprocess.Popen(
        [SKETCHPIPE, "download", *words, "--source", source],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **NO_PROXY, **environment},
    )  # fmt: skip


def run(bucket: Bucket | str, *words: str, **environment: str) -> tuple[int, list[str]]:
    """The command's exit code and lines of stderr; stdout stays empty."""
    with begin(bucket, *words, **environment) as process:
        out, said = process.communicate(timeout=60)
    assert out == ""
    return process.returncode, said.splitlines()


def fails(ended: tuple[int, list[str]], code: int, *parts: str) -> None:
    assert ended[0] == code, ended
    assert ended[1][-1].startswith("sketchpipe: ")
    assert [part for part in parts if part not in ended[1][-1]] == [], ended


def wait_for_bytes(size: int) -> None:
    """Until a partial file of sketches/quickdraw is as long."""
    tick = threading.Event()
    for _ in range(3_000):
        partials = list(Path("sketches/quickdraw/.download").glob("*.partial"))
        if partials and partials[0].stat().st_size >= size:
            return
        tick.wait(0.01)
    raise AssertionError("nothing came within half a minute")
