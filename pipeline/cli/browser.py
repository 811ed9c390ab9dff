"""Opens a page in the user's browser, where there is one that shows it to the user."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

_WAIT_SECONDS = 10  # for a program of Windows that passes a page on to the browser


def open_in_browser(page: Path | str) -> str:
    """Open a file, or an address, in the browser; returns why that could not be done, or an empty text.

    The environment variable BROWSER names a browser, as it does for other programs. Without it no browser is opened over
    SSH, where it would be on the other machine, or without a display, where it would be one that shows text only. In
    WSL it is the browser of Windows.
    """
    import webbrowser

    url = page if isinstance(page, str) else page.resolve().as_uri()
    if not os.environ.get("BROWSER"):
        if os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"):
            return "no browser is opened over SSH"
        if _is_wsl():
            return "" if _open_in_windows(page) else "no browser was found: install wslu, or open it in Windows"
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            return "no browser is opened without a display"
    try:
        is_open = webbrowser.open(url)
    except (webbrowser.Error, OSError, ValueError):  # ValueError: BROWSER has a quote that is not closed
        is_open = False
    return "" if is_open else "no browser could be started"


def _is_wsl() -> bool:
    return bool(os.environ.get("WSL_DISTRO_NAME")) or "microsoft" in platform.release().lower()


def _open_in_windows(page: Path | str) -> bool:
    """Whether a program that passes pages on to the browser of Windows was found and started."""
    if opener := shutil.which("wslview"):
        return _ran(opener, str(page)) is not None
    opener = shutil.which("explorer.exe")
    place = page if isinstance(page, str) else _ran("wslpath", "-w", str(page.resolve()))
    return opener is not None and bool(place) and _ran(opener, str(place)) is not None


def _ran(*command: str) -> str | None:
    """What a program printed, whatever its exit code, which explorer.exe sets to 1; None if it cannot be run."""
    try:
        ran = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_WAIT_SECONDS,
            errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:  # it shows the page by now
        return ""
    except OSError:
        return None
    return ran.stdout.strip()
