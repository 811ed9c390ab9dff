"""Which room may import which: the contracts of `[tool.importlinter]` in pyproject.toml."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def lint_imports(root: Path) -> tuple[int, str]:
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_every_import_keeps_to_the_contracts() -> None:
    code, said = lint_imports(ROOT)
    assert code == 0, said
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken" in said


@pytest.mark.parametrize(
    ("above", "below"),
    [
        ("pipeline.threads", "jax"),
        ("pipeline.loading", "model"),
        ("pipeline", "model.networks"),
        ("pipeline.sample", "model.networks"),
        ("pipeline.sources", "pipeline.shards"),
        ("pipeline.shards", "pipeline.loading"),
        ("pipeline.pictures", "pipeline.cli"),
        ("model.scoring", "pipeline.cli"),
        ("model.runs", "model.training"),
        ("model.runs", "model.scoring"),
        ("model.runs", "model.charts"),
        ("model.scoring", "model.training"),
    ],
)
def test_an_import_that_runs_back_up_breaks_a_contract(above: str, below: str, tmp_path: Path) -> None:
    for package in ("pipeline", "model"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path.joinpath(*above.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    with file.open("a") as text:
        text.write(f"\nimport {below}\n")
    code, said = lint_imports(tmp_path)
    assert code == 1, said
    assert f"{above} is not allowed to import {below}" in said or f"{above} -> {below}" in said
