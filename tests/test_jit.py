import ast
import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

PIPELINE = Path(__file__).parents[1] / "pipeline"
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


def hash_of(module: Path, files: tuple[str, ...]) -> str:
    return hashlib.sha256(b"".join((module.parent / name).read_bytes() for name in files)).hexdigest()


def constants_of(module: Path) -> dict[str, object]:
    """The constants of a module that are written out."""
    found = {}
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with contextlib.suppress(ValueError):
                found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


def test_a_file_of_kernels_changes_with_the_files_that_its_cached_code_holds() -> None:
    modules = [module for module in PIPELINE.rglob("*.py") if "CALLED_FILES" in constants_of(module)]
    assert len(modules) >= 5
    hashes = {}
    for module in modules:
        files = constants_of(module)["CALLED_FILES"]
        assert isinstance(files, tuple)
        hashes[module.name] = hash_of(module, files)
    stored = {module.name: constants_of(module)["CALLED_SHA256"] for module in modules}
    assert hashes == stored, "put these hashes into the files, or numba's cache keeps the code of before"


def test_every_file_whose_kernels_call_those_of_another_names_it() -> None:
    modules = list(PIPELINE.rglob("*.py"))
    bare = {module: set(re.findall(r"@in\w+_kernel\ndef (\w+)", module.read_text())) for module in modules}
    for module in bare:
        text = module.read_text()
        if not re.search(r"^@kernel$", text, re.MULTILINE):
            continue
        for node in ast.parse(text).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline."):
                called = PIPELINE.parent / ((node.module or "").replace(".", "/") + ".py")
                if bare.get(called, set()) & {alias.name for alias in node.names}:
                    files = constants_of(module)["CALLED_FILES"]
                    assert isinstance(files, tuple)
                    assert called in [(module.parent / name).resolve() for name in files], (module.name, called.name)
