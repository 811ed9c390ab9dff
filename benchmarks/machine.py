"""The description of the machine and its software that a table shows, and progress messages."""

import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def machine(packages: Sequence[str]) -> str:
    """The date, the machine, Python and the versions of packages."""
    versions = [f"Python {platform.python_version()}"]
    for package in packages:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"{package} not installed")
    cores = f"{os.cpu_count()} cores of {cpu_model()}"
    return f"{time.strftime('%Y-%m-%d')}, {cores}, {platform.platform()}, {', '.join(versions)}"


def cpu_model() -> str:
    """The CPU's model as Linux names it, else as Python does."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def say(text: str) -> None:
    """Print a line of progress to stderr."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
