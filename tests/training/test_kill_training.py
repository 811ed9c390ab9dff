"""Training that is killed: benchmarks/kill_training.py with a few kills, and its comparison."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.small import kernels_kept

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill_training.py"
KILLS = 4


@pytest.mark.long
def test_a_run_killed_at_random_moments_ends_as_one_never_killed(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, "--kills", str(KILLS), "--network", "sketch-classifier", "--epochs", "4"]
    ran = subprocess.run(
        [*command, "--work", tmp_path], env=kernels_kept(), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    rows = dict(line.strip("| ").split(" | ") for line in ran.stdout.splitlines() if line.startswith("| "))
    assert rows["kills, and the most of one run"].startswith(f"{KILLS}, ")
    assert rows["runs that differ in a bit, a drawing or a file"] == "0"
    assert "the comparison finds that another seed differs" in ran.stderr


def test_a_trace_tells_other_drawings_another_order_and_what_was_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    from kill_training import trace_faults

    whole = [f"{epoch} {step} {epoch}{step}" for epoch in range(2) for step in range(4)]
    assert trace_faults(whole, whole) == []
    assert trace_faults([*whole[:5], *whole[4:7], *whole[2:]], whole) == []  # from a checkpoint before each end
    assert trace_faults(whole[:-1], whole) == ["batches left out at the end"]
    assert trace_faults([*whole[:3], *whole[4:]], whole) == ["batches left out before epoch and step 1 0"]
    other = [*whole[:2], "0 2 99", *whole[3:]]
    assert trace_faults(other, whole) == ["other drawings in epoch and step 0 2"]
    swapped = [*whole[:2], "0 2 03", "0 3 02", *whole[4:]]
    assert len(trace_faults(swapped, whole)) == 2
