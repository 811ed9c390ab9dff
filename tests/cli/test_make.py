"""`make` installs what its goals need, and nothing twice."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALL = ROOT / ".ci" / "install.sh"
PYTHON = """#!/bin/sh
case "$1 $2" in
  "--version "*) echo "Python 3.11.7" ;;
  "-m venv") mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
  "-m pip") [ "$3" = --version ] || echo "$*" >>pip.log ;;
esac
"""
NVIDIA_SMI = """#!/bin/sh
case "$*" in *driver_version*) echo 580.65.06 ;; esac
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.mark.parametrize(
    ("goals", "kind"),
    [
        (["train"], ""),
        (["install", "predict"], ""),
        (["test"], "dev"),
        (["lint"], "dev"),
        (["install", "test"], "dev"),
        (["install", "DEV=1"], "dev"),
    ],
)
def test_only_goals_that_test_and_measure_install_what_tests_need(goals: list[str], kind: str) -> None:
    ran = subprocess.run(
        ["make", "-n", *goals], cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    )
    (install,) = [line for line in ran.stdout.splitlines() if "install.sh" in line]
    assert install.split() == ["sh", ".ci/install.sh", '"python3"', '".venv"', '"auto"', *kind.split()]


def test_the_workflow_trains_as_make_train_does() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    ran = subprocess.run(
        ["make", "-n", "train"], cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    )
    (train,) = [line.replace('"', "") for line in ran.stdout.splitlines() if "sketchpipe train" in line]
    assert f"- run: {train}\n" in workflow


def test_the_tests_of_kernels_that_ci_repeats_are_there() -> None:
    listed = (ROOT / ".ci" / "kernel_tests.txt").read_text().split()
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "kernels").glob("test_*.py")} <= set(listed)
    assert [path for path in listed if not (ROOT / path).is_file()] == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a project and a Python whose pip only notes what it is asked to install."""
    (tmp_path / "pyproject.toml").write_text("one\n")
    (tmp_path / "bin").mkdir()
    for name, text in (("python", PYTHON), ("nvidia-smi", NVIDIA_SMI)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def install(folder: Path, *kind: str, gpu: str = "0") -> list[str]:
    """What pip is asked to install."""
    env = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    log = folder / "pip.log"
    log.unlink(missing_ok=True)
    subprocess.run(["sh", INSTALL, "python", "venv", gpu, *kind], cwd=folder, env=env, capture_output=True, check=True)
    return [line.split()[-1] for line in log.read_text().splitlines()] if log.exists() else []


def test_an_environment_grows_and_is_never_reduced(folder: Path) -> None:
    assert install(folder) == ["."]
    assert install(folder) == []
    assert install(folder, "dev") == [".[dev]"]
    assert install(folder) == install(folder, "dev") == []
    (folder / "pyproject.toml").write_text("two\n")
    assert install(folder) == [".[dev]"]


def test_where_a_driver_answers_jax_comes_with_its_cuda_unless_refused(folder: Path) -> None:
    assert install(folder, gpu="auto") == [".[cuda13]"]
    assert install(folder, "dev", gpu="auto") == [".[dev,cuda13]"]
    assert install(folder, "dev", gpu="0") == [".[dev]"]


def test_a_python_that_is_missing_is_said_with_the_remedy(folder: Path) -> None:
    ran = subprocess.run(
        ["sh", INSTALL, "python0", "venv", "0"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr.startswith("sketchpipe: python0 is missing: install Python 3.11 or newer")
