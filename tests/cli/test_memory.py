"""A lack of memory is one line with what to lower, and exit code 6."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
import resource
from pipeline.cli import app, main, options, progress  # what is loaded before the limit
import {module}
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + {more}, resource.RLIM_INFINITY))
main.main()
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="how much is mapped is read from /proc")
def test_lack_of_memory_is_one_line_that_says_what_to_lower(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes(b"cat\n" * 10_000_000)
    program = PROGRAM.format(module="pipeline.shards.folder, pipeline.shards.leave_out", more=20 << 20)
    ran = subprocess.run(
        [sys.executable, "-c", program, "shards", "x", "--to", "y", "--classes", "@words.txt"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, len(ran.stderr.splitlines())) == (6, 1), ran.stderr
    assert "sketchpipe: not enough memory (" in ran.stderr
    assert "lower --workers, --batch or the number of drawings" in ran.stderr
