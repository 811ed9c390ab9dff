import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.sources.ndjson_kernels import CALLED_FILES, CALLED_SHA256

PROGRAM = """
import numpy as np
from pipeline.hashing import content_hash
from pipeline.drawings import from_strokes
import pipeline.hashing
print(pipeline.hashing.__file__)
print(content_hash(from_strokes([[[[1, 2], [3, 4]]]], ["cat"]))[0])
"""


def run(folder: Path, home: Path) -> list[str]:
    """The lines that PROGRAM prints with the packages in `folder` and no cache of its own but below `home`."""
    cacheless = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment = {**cacheless, "PYTHONPATH": str(folder), "HOME": str(home), "XDG_CACHE_HOME": str(home)}
    command = [sys.executable, "-B", "-c", PROGRAM]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_kernels_compile_where_no_cache_folder_can_be_written(tmp_path: Path) -> None:
    source = Path(__file__).parents[1] / "pipeline"
    shutil.copytree(source, tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder would have to be, which stops root as well")
    for folder in (tmp_path / "pipeline").rglob(""):
        (folder / "__pycache__").write_text(blocked.read_text())
    path, code = run(tmp_path, blocked / "home")
    assert Path(path).is_relative_to(tmp_path)
    assert code == run(source.parent, tmp_path)[1]


def test_the_scanner_s_file_changes_with_the_files_that_its_cached_code_holds() -> None:
    sources = Path(__file__).parents[1] / "pipeline" / "sources"
    found = hashlib.sha256(b"".join((sources / name).read_bytes() for name in CALLED_FILES)).hexdigest()
    assert found == CALLED_SHA256, "put this hash into ndjson_kernels.py, or numba's cache keeps the code of before"
