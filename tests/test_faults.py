"""The faults of benchmarks/faults.py: what the preloaded library does to a process, and a few trials."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
# Writes a file as storage does: under another name, synced, renamed. Then it reads the clock.
PROGRAM = """
import ctypes, os, sys, time
shim, folder, report, nth, action, number = *sys.argv[1:4], *map(int, sys.argv[4:])
library = ctypes.CDLL(shim)
library.faults_arm(folder.encode(), report.encode(), ctypes.c_long(nth), action, number, 0)
file = os.open(f"{folder}/partial", os.O_WRONLY | os.O_CREAT)
print(os.write(file, b"12345678"))
os.fsync(file)
os.rename(f"{folder}/partial", f"{folder}/whole")
before = time.time()
library.faults_shift_clock(ctypes.c_double(-3600), ctypes.c_long(0))
assert -3601 < time.time() - before < -3590
"""
OPERATIONS = ["create", "write", "fsync", "rename"]


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        from faults_trials import compiled_shim
    path, missing = compiled_shim(tmp_path_factory.mktemp("shim"))
    if path is None:
        pytest.skip(missing)
    return path


def ran(shim: Path, folder: Path, nth: int, action: str) -> subprocess.CompletedProcess[str]:
    from faults_trials import ACTIONS

    folder.mkdir()
    what, number, _ = ACTIONS[action]
    command = [sys.executable, "-c", PROGRAM, shim, folder, folder.with_suffix(".report"), str(nth)]
    environment = os.environ | {"LD_PRELOAD": str(shim)}
    return subprocess.run(
        [*command, str(what), str(number)], env=environment, capture_output=True, text=True, check=False
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_operation_that_changes_the_folder_is_counted(shim: Path, tmp_path: Path) -> None:
    ended = ran(shim, tmp_path / "out", 0, "list")
    assert ended.returncode == 0, ended.stderr
    lines = (tmp_path / "out.report").read_text().splitlines()
    names = ["partial", "partial", "partial", "whole"]
    assert lines == [f"{k}\t{OPERATIONS[k - 1]}\t/{names[k - 1]}" for k in range(1, 5)]
    assert contents(tmp_path / "out") == {"whole": b"12345678"}


@pytest.mark.parametrize(
    ("action", "nth", "code", "left"),
    [
        ("kill", 1, -9, {}),
        ("kill", 2, -9, {"partial": b""}),
        ("kill in a write", 2, -9, {"partial": b"1234"}),
        ("kill", 3, -9, {"partial": b"12345678"}),
        ("power cut", 3, -9, {"partial": b""}),  # what was not synced is lost
        ("power cut", 4, -9, {"partial": b"12345678"}),
        ("no space", 2, 1, {"partial": b""}),
        ("input/output error", 4, 1, {"partial": b"12345678"}),
        ("short write", 2, 0, {"whole": b"1234"}),
    ],
)
def test_a_fault_happens_at_its_operation(
    shim: Path, tmp_path: Path, action: str, nth: int, code: int, left: dict[str, bytes]
) -> None:
    ended = ran(shim, tmp_path / "out", nth, action)
    assert ended.returncode == code, ended.stderr
    assert contents(tmp_path / "out") == left
    assert (tmp_path / "out.report").read_text().startswith(f"{nth}\t{OPERATIONS[nth - 1]}\t")


@pytest.mark.long
def test_a_few_trials_find_no_fault(tmp_path: Path) -> None:
    pieces = ("disk: shards, over", "disk: simplify", "flips: shards", "clock: times")
    command = [sys.executable, BENCHMARKS / "faults.py", *pieces, "--trials", "3", "--json", tmp_path / "rows.json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    assert " trials, 0 faults" in ended.stdout
    assert (tmp_path / "rows.json").exists()
