import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from pipeline.jit import COMPILING

JIT = not numba.config.DISABLE_JIT
LINE = '{"key_id":"%d","word":"cat","countrycode":"DE","recognized":true,"drawing":[[[0,9,%d],[0,3,255]]]}\n'
PROGRAM = """
import sys
from pipeline.cli.main import run
try:
    run()
except SystemExit as error:
    assert not error.code, error.code
print(*sys.modules, file=sys.stderr)
"""


def modules_of(*arguments: str) -> tuple[set[str], str]:
    """The modules that a command has imported when it ends, and what it has said."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    *said, modules = done.stderr.splitlines()
    return set(modules.split()), "\n".join(said)


@pytest.fixture
def sketches(tmp_path: Path) -> Path:
    path = tmp_path / "sketches" / "cat.ndjson"
    path.parent.mkdir()
    path.write_text("".join(LINE % (k, k) for k in range(1, 60)))
    return path.parent


def test_a_build_imports_nothing_that_it_does_not_need(sketches: Path, tmp_path: Path) -> None:
    modules_of("shards", str(sketches), "--to", str(tmp_path / "first"))  # now all kernels are compiled
    modules, said = modules_of("shards", str(sketches), "--to", str(tmp_path / "second"), "--workers", "2")
    assert COMPILING not in said
    assert "pyarrow.parquet" in modules
    unneeded = modules & {"pandas", "polars", "jax", "matplotlib", "PIL", "rich"}
    assert not unneeded
    if JIT:
        assert "numba" in modules
        assert not modules & {"numba.np.arraymath", "numba.np.linalg"}


@pytest.mark.parametrize("arguments", [["classes"], ["runs"], ["shards", "--help"]])
def test_a_short_command_imports_neither_numba_nor_pyarrow(arguments: list[str]) -> None:
    modules, _ = modules_of(*arguments)
    assert not modules & {"numba", "pyarrow", "jax"}
