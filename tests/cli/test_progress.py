"""Progress on terminals of several widths, and where there is none."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from pipeline.cli.progress import Bar, BuildBar, _fitting, _parts

NOTE = "loss 1.234, accuracy 56.7%, 12,345 images/s, waiting for data 3%, 2 h 5 min left"
SCRIPT = f"""
from pipeline.cli.progress import Bar
with Bar(pause_seconds=0) as bar:
    for done in range(0, 101, 50):
        bar("epoch 3/12", done, 100, note={NOTE!r})
    bar.say("a line between")
    bar("epoch 4/12", 0, 100)
print("the end")
"""


def seen_on_terminal(columns: int) -> str:
    """What a script that shows a bar writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = bytearray()
        try:
            while part := os.read(ours, 4096):
                seen += part
        except OSError:  # how Linux tells that the other end is closed
            pass
        assert process.wait() == 0
    os.close(ours)
    return seen.decode()


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_bar_is_one_line_that_fits_its_terminal_and_is_removed(columns: int) -> None:
    seen = seen_on_terminal(columns)
    assert "\x1b" not in seen  # no colours, and nothing that a simple terminal would not know
    bars, between, end = seen.replace("\r\n", "\n").partition("a line between\n")
    assert between
    assert "\n" not in bars
    shown = bars.split("\r")
    assert max(map(len, shown)) < columns
    assert re.fullmatch(r"epoch 3/12 \[(#+)(-+)\] loss 1\.234.*", shown[2].rstrip())
    assert ("waiting for data 3%" in shown[2]) == (columns > 80)
    assert (shown[-2].strip(), shown[-1]) == ("", "")
    assert re.fullmatch(r"\repoch 4/12 \[-+\]\r +\rthe end\n", end)


@pytest.mark.parametrize("columns", [40, 80, 100, 200])
def test_on_a_narrow_terminal_note_and_rate_are_left_out_before_time_left_and_amount(columns: int) -> None:
    parts = list(_parts(2_250_000_000, 3e9, "B", "12,345,678 drawings", 12_300_000))
    line = _fitting("pass 1 of 2, reading", 0.5, parts, columns - 1)
    fits = {
        40: "pass 1 of 2, reading [####-----]",
        80: "pass 1 of 2, reading [##########---------] 2.2 GB of 3.0 GB, 1 min 1 s left",
        100: f"pass 1 of 2, reading [{12 * '#'}{12 * '-'}] 2.2 GB of 3.0 GB, 1 min 1 s left, 12.3 MB/s",
    }
    whole = "2.2 GB of 3.0 GB, 1 min 1 s left, 12.3 MB/s, 12,345,678 drawings"
    assert line == fits.get(columns, f"pass 1 of 2, reading [{12 * '#'}{12 * '-'}] {whole}")


def test_elsewhere_progress_is_plain_lines_without_rate_and_time_left_in_the_first_second(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Bar(pause_seconds=0) as bar:
        for done in (0, 1000):
            bar("writing", done, 4000, unit="pictures")
        bar("training", 1, 2, note="loss 1.0")
        bar("measuring scan", 1, 2)
    assert capsys.readouterr().err == (
        "writing: 0 of 4,000 pictures\nwriting: 1,000 of 4,000 pictures\ntraining: loss 1.0\nmeasuring scan\n"
    )


def test_what_an_earlier_build_had_read_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    with BuildBar() as bar:
        for done in (2_000_000, 3_000_000):
            bar("pass 1 of 2, reading", done, unit="B", note="3,000 drawings")
    told = "  resuming an interrupted build after 2.0 MB and 3,000 drawings\n"
    assert capsys.readouterr().err == told
