from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.download.bucket_server import Bucket, serve


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    """A server of files as Google's bucket is one, empty at first."""
    with serve() as bucket:
        yield bucket


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder to download into, which does not exist yet."""
    return tmp_path / "quickdraw"
