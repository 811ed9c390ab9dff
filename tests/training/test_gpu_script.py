"""benchmarks/gpu.py on the CPU, which shows that it runs: a machine with a GPU is not at hand where tests run."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.small import kernels_kept, sample_sketches

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.mark.long
def test_each_row_has_figures_and_the_file_holds_what_was_printed(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = ("--networks", "sketch-classifier", "--batch", "64", "--drawings", "30000", "--classes", "10")
    command = [sys.executable, SCRIPT, sample_sketches(tmp_path_factory), *settings, "--seconds", "0.5"]
    ran = subprocess.run(
        [*command, "--device", "cpu", "--to", tmp_path / "rows.md"],
        env=kernels_kept(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    rows = [line.split(" | ") for line in ran.stdout.splitlines() if line.startswith("| sketch-classifier |")]
    assert [(row[1], len(row)) for row in rows] == [("bfloat16", 11), ("float32", 11)], ran.stdout
    assert (tmp_path / "rows.md").read_text() == ran.stdout
