import ast
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numba
import pytest

from pipeline import kernel_cache
from pipeline.jit import COMPILING

PACKAGE = Path(__file__).parents[1] / "pipeline"
# A kernel of one file into which a kernel of another, `hashing.mixed`, is compiled.
PROGRAM = """
from fractions import Fraction
import numpy as np
import pipeline.shards.shuffle as shuffle
print(shuffle.__file__)
keys = np.arange(1, 9, dtype=np.uint64) << np.uint64(21)
print(shuffle.partition_of(keys, 3, (Fraction(1, 2), Fraction(1, 2), Fraction(0)), 1000).tolist())
print(sum(shuffle._partition.stats.cache_hits.values()) if hasattr(shuffle._partition, "stats") else None)
"""
MIXER = "    value += uint64(0x9E3779B97F4A7C15)\n"
JIT = not numba.config.DISABLE_JIT


def run(folder: Path, home: Path, program: str = PROGRAM, **variables: str) -> tuple[str, str, str]:
    """What PROGRAM prints with the packages in `folder` and its caches below `home`: file, result, cached kernels."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_CACHE")}
    environment |= {"PYTHONPATH": str(folder), "HOME": str(home), "XDG_CACHE_HOME": str(home), **variables}
    command = [sys.executable, "-B", "-c", program]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    path, result, hits = done.stdout.splitlines()
    return path, result, hits


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with a copy of the package `pipeline`."""
    shutil.copytree(PACKAGE, tmp_path / "copy" / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "copy"


def test_kernels_compile_where_no_cache_folder_can_be_written(package: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder would have to be, which stops root as well")
    path, result, _ = run(package, blocked / "home")
    assert Path(path).is_relative_to(package)
    assert result == run(PACKAGE.parent, tmp_path)[1]


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_machine_code_is_kept_in_the_users_cache_folder_and_used_again(package: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    first, second = run(package, home), run(package, home)
    assert first[1] == second[1]
    assert (first[2], second[2]) == ("0", "1")
    assert list((home / "sketchpipe" / "numba").glob("*/*.kernel"))
    assert not list(package.rglob("*.nbc"))


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_an_edit_is_seen_of_a_file_whose_kernels_are_compiled_into_another(package: Path, tmp_path: Path) -> None:
    before = run(package, tmp_path / "home")
    hashing = package / "pipeline" / "hashing.py"
    text = hashing.read_text()
    assert text.count(MIXER) == 1
    hashing.write_text(text.replace(MIXER, "    value += uint64(0x9E3779B97F4A7C17)\n"))
    after = run(package, tmp_path / "home")
    assert after[1] != before[1]
    assert after[2] == "0"
    hashing.write_text(text)
    assert run(package, tmp_path / "home")[2] == "1"  # the code of before is still there


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_bounds_checks_and_a_cache_folder_of_ones_own_are_heeded(package: Path, tmp_path: Path) -> None:
    own = str(tmp_path / "own")
    run(package, tmp_path / "home", NUMBA_CACHE_DIR=own)
    assert run(package, tmp_path / "home", NUMBA_CACHE_DIR=own, NUMBA_BOUNDSCHECK="1")[2] == "0"
    assert run(package, tmp_path / "home", NUMBA_CACHE_DIR=own)[2] == "1"
    assert not (tmp_path / "home" / "sketchpipe" / "numba").exists()


def imports_of(file: Path) -> set[Path]:
    """The files of the package that one imports at its top level, as Python's own parser sees it."""
    names = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    paths = {PACKAGE.parent.joinpath(*name.split(".")).with_suffix(".py") for name in names}
    return {path for path in paths if path.is_relative_to(PACKAGE) and path.is_file()}


def test_a_digest_covers_every_file_that_a_file_of_kernels_imports_directly_or_not() -> None:
    files = [file for file in PACKAGE.rglob("*.py") if re.search(r"^@kernel$", file.read_text(), re.MULTILINE)]
    assert len(files) >= 10
    for file in files:
        reached, waiting = {file}, [file]
        while waiting:
            waiting += (new := imports_of(waiting.pop()) - reached)
            reached |= new
        assert set(kernel_cache._imported_by(file)) == reached, file


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_a_cache_that_is_damaged_or_cannot_be_written_costs_time_only(package: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    expected = run(package, home)[1]
    (entry,) = (home / "sketchpipe" / "numba").rglob("*_partition*.kernel")
    whole = entry.read_bytes()
    entry.write_bytes(whole[:200])
    assert run(package, home)[1:] == (expected, "0")
    assert run(package, home)[1:] == (expected, "1")  # written anew
    entry.unlink()
    os.mkfifo(entry)
    assert run(package, home)[1:] == (expected, "0")
    assert run(package, home)[1:] == (expected, "1")
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
    full += "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    assert run(package, tmp_path / "other", program=full + PROGRAM)[1:] == (expected, "0")


def test_machine_code_with_a_flipped_bit_is_never_loaded(tmp_path: Path) -> None:
    files = kernel_cache.SealedFiles(tmp_path, "kernel")
    code = random.Random(1).randbytes(300)
    files.save("signature", code)
    (entry,) = tmp_path.iterdir()
    whole = entry.read_bytes()
    assert files.load("signature") == code
    assert files.load("another") is None
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        entry.write_bytes(flipped)
        assert files.load("signature") is None
    entry.write_bytes(whole)
    entry.rename(files._path("another"))  # a file of another signature under this name
    assert files.load("another") is None


def test_a_file_system_without_locks_keeps_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "sketchpipe" / "numba" / ".lock").mkdir(parents=True)  # which cannot be opened to be locked
    kernel_cache._remove_unused.cache_clear()
    assert kernel_cache.cache_folder(PACKAGE / "hashing.py") is not None


def test_folders_that_nobody_used_for_a_month_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    base = tmp_path / "sketchpipe" / "numba"
    for name, days in (("old", 31), ("new", 29)):
        (base / name).mkdir(parents=True)
        (base / name / "kernel.nbc").touch()
        os.utime(base / name, (time.time() - days * 86_400,) * 2)
    folder = kernel_cache.cache_folder(PACKAGE / "hashing.py")
    assert folder is not None
    assert {path.name for path in base.iterdir()} == {".lock", "new", folder.name}


def test_a_folder_in_use_is_marked_as_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    folder = kernel_cache.cache_folder(PACKAGE / "hashing.py")
    assert folder is not None
    os.utime(folder, (0, 0))
    kernel_cache.cache_folder(PACKAGE / "hashing.py")
    assert time.time() - folder.stat().st_mtime < 3600


TELLING = """
import numpy as np
from fractions import Fraction
from pipeline import first_calls
import pipeline.shards.shuffle as shuffle
first_calls.tell_with(print)
keys, halves = np.arange(1, 9, dtype=np.uint64) << np.uint64(21), (Fraction(1, 2), Fraction(1, 2), Fraction(0))
print(first_calls.ended(), first_calls.seconds())
shuffle.partition_of(keys, 3, halves, 1000), shuffle.split_of(keys, halves)
print(first_calls.seconds() > 0, first_calls.ended() > 0)
"""


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_the_first_call_of_a_kernel_is_told_once_and_where_no_folder_can_be_written_with_its_remedy(
    package: Path, tmp_path: Path
) -> None:
    def told(**variables: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_CACHE")}
        environment |= {"PYTHONPATH": str(package), **variables}
        done = subprocess.run([sys.executable, "-B", "-c", TELLING], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        first, *between, last = done.stdout.splitlines()
        assert (first, last) == ("-inf 0.0", "True True")
        return "\n".join(between)

    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder would have to be, which stops root as well")
    assert told(XDG_CACHE_HOME=str(tmp_path / "home")) == COMPILING
    assert told(XDG_CACHE_HOME=str(tmp_path / "home")) == ""
    assert told(XDG_CACHE_HOME=str(blocked)) == (
        f"compiling kernels; each command compiles them again, because {blocked}/sketchpipe/numba cannot be written; "
        "set NUMBA_CACHE_DIR to a folder that can"
    )
    assert told(NUMBA_CACHE_DIR=str(blocked / "own")).endswith(
        f"because {blocked}/own cannot be written; set NUMBA_CACHE_DIR to another folder that can"
    )


# A kernel that Python and another kernel call.
CALLER = """
import sys
import numpy as np
from pipeline.jit import kernel

@kernel
def doubled(values, value):
    values[0] = 2 * value
    return value + 1

@kernel
def twice_doubled(values, value):
    return doubled(values, doubled(values, value))

values = np.zeros(1, np.int64)
print(__file__)
print(doubled(values, 3), "numba.np.arraymath" in sys.modules, twice_doubled(values, 3), values.tolist())
print([sum(one.stats.cache_hits.values()) for one in (doubled, twice_doubled)])
"""


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_a_kernel_is_compiled_that_calls_one_from_the_cache(tmp_path: Path) -> None:
    (tmp_path / "caller.py").write_text(CALLER)

    def call() -> tuple[str, str]:
        program = f"import runpy; runpy.run_path({str(tmp_path / 'caller.py')!r}, run_name='caller')"
        return run(PACKAGE.parent, tmp_path / "home", program)[1:]

    assert call() == ("4 True 5 [8]", "[0, 0]")
    assert call() == ("4 False 5 [8]", "[1, 1]")
    (entry,) = (tmp_path / "home").rglob("*twice_doubled*.kernel")
    entry.unlink()
    assert call() == ("4 False 5 [8]", "[1, 0]")
    assert call() == ("4 False 5 [8]", "[1, 1]")
