"""Progress on terminals of several widths, and where there is none."""

import contextlib
import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import first_calls
from pipeline.cli.progress import RATE_SECONDS, Bar, BuildBar, _fitting, _parts
from pipeline.wording import columns_of

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

DRIVEN = f"""
import os, sys, time
from pipeline.cli.progress import Bar
with open(sys.argv[1]) as orders, open(sys.argv[2], "w") as answers, Bar(pause_seconds=0) as bar:
    for order in orders:
        word, number = order.split()
        if word == "width":
            while os.get_terminal_size(2).columns != int(number):
                time.sleep(0.01)
        elif word == "say":
            bar.say(f"line {{number}}")
        else:
            bar("epoch 3/12", int(number), 100, note={NOTE!r})
        print("done", file=answers, flush=True)
"""


class Tmux:
    """A terminal of 80 x 12 in which a program shows a bar as it is ordered to."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "socket"
        for name in ("orders", "answers"):
            os.mkfifo(folder / name)
        (folder / "driven.py").write_text(DRIVEN)
        program = f"{sys.executable} {folder}/driven.py {folder}/orders {folder}/answers; sleep 60"
        path = str(Path(__file__).parents[2])
        self("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "12", "-e", f"PYTHONPATH={path}", program)
        self._orders, self._answers = (folder / "orders").open("w"), (folder / "answers").open()

    def __call__(self, *words: str) -> str:
        ran = subprocess.run(["tmux", "-S", self._socket, *words], capture_output=True, text=True, check=True)
        return ran.stdout

    def order(self, word: str, number: int) -> None:
        print(word, number, file=self._orders, flush=True)
        assert self._answers.readline() == "done\n"

    def resize(self, columns: int) -> None:
        self("resize-window", "-x", str(columns))
        self.order("width", columns)

    def bars(self) -> list[str]:
        """What tmux has on the screen and above it, apart from the lines that the program said."""
        lines = self("capture-pane", "-p", "-S", "-").splitlines()
        return [line for line in lines if line and not re.fullmatch(r"line \d+", line)]

    def close(self) -> None:
        for one in (self._orders, self._answers):
            one.close()
        self("kill-server")


@pytest.fixture
def tmux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tmux]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    with contextlib.closing(Tmux(tmp_path_factory.mktemp("t"))) as terminal:
        yield terminal


def test_in_tmux_a_bar_is_one_line_at_any_width_also_after_the_terminal_became_narrower_or_wider(tmux: Tmux) -> None:
    for before, columns in (
        (80, 40),
        (40, 200),
        (200, 80),
        (200, 40),
        (80, 75),
        (80, 74),
        (80, 73),
        (80, 20),
        (20, 80),
    ):
        tmux.resize(before)
        for _ in range(13):  # more than the screen holds, as a shell has printed before
            tmux.order("say", 1)
        tmux.order("draw", 20)
        tmux.resize(columns)
        tmux.order("draw", 60)
        (bar,) = tmux.bars()
        assert len(bar) < columns
        assert re.fullmatch(r"epoch 3/12(: | \[#+-+\] .*)2 h 5 min left", bar) or columns == 20
    tmux.order("say", 2)
    assert tmux.bars() == []


def test_a_terminal_that_became_narrower_gets_no_longer_line_even_without_tmux() -> None:
    ours, theirs = pty.openpty()
    resize = f"import fcntl, struct, termios; fcntl.ioctl(2, termios.TIOCSWINSZ, {struct.pack('HHHH', 24, 40, 0, 0)!r})"
    script = SCRIPT.replace('    bar.say("a line between")', f"    {resize}").replace("range(0, 101, 50)", "(10, 50)")
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    subprocess.run([sys.executable, "-c", script], stdin=theirs, stdout=theirs, stderr=theirs, check=True)
    os.close(theirs)
    seen = os.read(ours, 9999).decode()
    os.close(ours)
    wide, narrow = seen.split("\r\x1b[K\x1b[A\x1b[K")  # two rows of the old line are removed
    assert (max(map(len, wide.split("\r"))) > 80, max(map(len, narrow.split("\r"))) < 40) == (True, True)


def test_rate_and_time_left_count_neither_the_first_piece_nor_a_first_call(capsys: pytest.CaptureFixture[str]) -> None:
    def shown(done: int) -> str:
        bar("reading", done, 1000, unit="drawings")
        return capsys.readouterr().err

    with Bar(pause_seconds=0) as bar:
        for done in (0, 10):
            assert " left" not in shown(done)
            time.sleep(1.1 * RATE_SECONDS)  # the time that passes is what is measured
        assert re.fullmatch(r"reading: 500 of 1,000 drawings, [12] s left, \d{3} drawings/s\n", shown(500))
        first_calls.note()
        assert shown(600) == "reading: 600 of 1,000 drawings\n"


def test_a_wide_word_or_an_escape_in_a_note_cannot_make_the_line_longer_than_the_terminal() -> None:
    for width in range(8, 60):
        line = _fitting("\u732b" * 5, 0.5, ["\u732b" * 9, "3 s left"], width)
        assert columns_of(line) <= width


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
    loss = "" if columns == 40 else r"loss 1\.234, .*"
    assert re.fullmatch(rf"epoch 3/12 \[(#+)(-+)\] {loss}2 h 5 min left", shown[2].rstrip())
    assert ("waiting for data 3%" in shown[2]) == (columns > 80)
    assert (shown[-2].strip(), shown[-1]) == ("", "")
    assert re.fullmatch(r"\repoch 4/12 \[-+\]\r +\rthe end\n", end)


@pytest.mark.parametrize("columns", [40, 80, 100, 200])
def test_on_a_narrow_terminal_note_rate_amount_and_bar_are_left_out_before_time_left(columns: int) -> None:
    parts = list(_parts(2_250_000_000, 3e9, "B", "12,345,678 drawings", 12_300_000))
    line = _fitting("pass 1 of 2, reading", 0.5, parts, columns - 1)
    fits = {
        40: "pass 1 of 2, reading: 1 min 1 s left",
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
