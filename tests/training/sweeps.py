"""A small sweep for the tests, trained once a session."""

import functools
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.small import in_process, sample_shards

SWEEP = ("sweep", "--network", "sketch-classifier", "--epochs", "1")
GRID = (*SWEEP, "--lr", "0.01,0.001", "--batch", "64,128")


def swept_once(factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder after the sweep of `GRID`, and what the command said; nobody may write into it."""
    return _swept(factory.getbasetemp() / "swept", sample_shards(factory))


@functools.cache
def _swept(folder: Path, shards: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    shutil.copytree(shards, folder / "shards" / "sample")
    return folder, in_process(*GRID, cwd=folder)
