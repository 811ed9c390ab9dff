"""Downloads from a bucket on loopback, without patience."""

from pathlib import Path
from typing import Any

from bucket_server import Bucket, lines_of

from pipeline.download.folder import Outcome, download
from pipeline.download.plan import DownloadOptions
from pipeline.download.remote import Patience

CAT = lines_of("cat", 9_000)  # some 1.5 MB, several times what is read at once
HASTY = Patience(tries=3, first_wait_seconds=0.0)


def fetch(bucket: Bucket, folder: Path, *words: str, patience: Patience = HASTY, **options: Any) -> Outcome:
    """Download words, "cat" by default."""
    return download(words or ("cat",), folder, DownloadOptions(source=bucket.url, **options), patience=patience)


def failure(bucket: Bucket, folder: Path, **options: Any) -> Exception:
    """Why "cat" could not be downloaded."""
    return fetch(bucket, folder, **options).failures["cat"]


def hidden(folder: Path) -> list[str]:
    """What stands in the folder's hidden one."""
    return sorted(path.name for path in (folder / ".download").iterdir())
