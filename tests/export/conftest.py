"""A real browser for the page that `export` writes: Debian's Chromium, driven by playwright."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.export.opened_page import write_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NEEDED = "SKETCHPIPE_NEEDS_BROWSER"  # set where a missing browser shall be a failure
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page with the network that comes with sketchpipe."""
    folder = tmp_path_factory.getbasetemp() / "page"
    folder.mkdir(exist_ok=True)
    return write_page(folder)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium without a window."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright is not installed: pip install -e '.[dev]'")
    if program is None:
        _missing("Chromium is not installed: apt install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program)
        yield chromium
        chromium.close()


def _missing(reason: str) -> None:
    if os.environ.get(NEEDED) == "1":
        pytest.fail(f"{reason} ({NEEDED} is set)")
    pytest.skip(f"{reason}: the page was not tried in a browser")
