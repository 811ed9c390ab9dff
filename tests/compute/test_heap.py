import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small import SMALL, sample_shards

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc can be told")

FAULTS = """
import resource, sys, threading
from model.compute.heap import keep_heap

if sys.argv[1] == "kept":
    keep_heap("cpu")
import numpy as np
import pyarrow  # which starts a thread

def count():
    faults = []
    for _ in range(6):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.ones(100_000_000, np.uint8)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    print(sum(faults[2:]))

worker = threading.Thread(target=count)
worker.start()
worker.join()
"""
ARENAS = """
import atexit, ctypes, sys
from pipeline.cli.main import main

def arenas():
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    file = ctypes.c_void_p(libc.fopen(b"arenas.xml", b"w"))
    libc.malloc_info(0, file)
    libc.fclose(file)

atexit.register(arenas)
main()
"""
ROOM = """
import resource
from model.compute.heap import keep_heap

keep_heap("cpu")
import jax
import numpy as np
from model.training.memory import memory_of

devices = jax.devices("cpu")
resource.setrlimit(resource.RLIMIT_AS, (8_000_000_000, resource.RLIM_INFINITY))
before = memory_of(devices)
np.ones(1_000_000_000, np.uint8)
print(before - memory_of(devices))
"""


def child(program: str, *arguments: str, folder: Path | None = None, **more: str) -> str:
    """What a fresh Python prints whose C library nobody has told anything, but for `more` of its environment."""
    told = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(told)} | more
    command = [sys.executable, "-c", program, *arguments]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_memory_that_is_freed_comes_back_without_page_faults() -> None:
    kept, given_back = int(child(FAULTS, "kept")), int(child(FAULTS, "given back"))
    assert 20 * kept < given_back


def test_who_tells_the_c_library_has_the_last_word() -> None:
    kept, told = int(child(FAULTS, "kept")), int(child(FAULTS, "kept", MALLOC_TRIM_THRESHOLD_="1000000"))
    assert 20 * kept < told


@pytest.mark.parametrize("command", [("train",), ("sweep", "--lr", "0.01")])
def test_a_training_asks_for_memory_in_one_place(
    command: tuple[str, ...], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shards = str(sample_shards(tmp_path_factory))
    child(ARENAS, *command, "--shards", shards, *SMALL, "--epochs", "1", "--device", "cpu", folder=tmp_path)
    # Each thread that asks for memory before the C library is told has an arena of its own for good.
    assert (tmp_path / "arenas.xml").read_text().count("<heap nr=") == 1


def test_memory_that_is_free_is_not_told_as_taken() -> None:
    assert int(child(ROOM)) < 200_000_000
