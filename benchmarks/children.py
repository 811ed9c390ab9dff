"""A command as a child process: its time, its CPU time and its peak memory, on cores of one's choice."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the package beside the benchmarks is measured, whatever is installed
SKETCHPIPE = (sys.executable, "-c", "from pipeline.cli.main import main; main()")
_POLL_SECONDS = 0.01
_ERROR = re.compile(r"[\w.]+(Error|Exception): ")  # of a traceback; its message may go on for lines
_STATM = Path(f"/proc/{os.getpid()}/statm")


@dataclass(frozen=True)
class Finished:
    """How a child ended.

    Attributes:
        seconds: from its start to its end.
        cpu_seconds: of all its threads, in user and system mode.
        peak_bytes: the most memory it held resident. What its parent holds counts as well at the moment of the start,
            so a parent that measures imports nothing large.
        code: its exit code, negative for a signal.
        killed: why it was killed from here, or None.
        said: its stdout and stderr.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    code: int
    killed: str | None
    said: str

    @property
    def complaint(self) -> str:
        """The line that says what went wrong: the last that names an error, else the last."""
        lines = [line.strip() for line in self.said.splitlines() if line.strip()]
        named = [line for line in lines if _ERROR.match(line)]
        return (named or lines or [f"exit code {self.code}, no message"])[-1]


def run_child(
    command: Sequence[str], *, cores: int | None = None, kill_after: float | None = None, most_bytes: int | None = None
) -> Finished:
    """Run a command to its end.

    Args:
        command: the program and its arguments; Python finds the project whatever the folder.
        cores: on how many cores it may run; None for all there are.
        kill_after: seconds until SIGKILL, if it still runs then.
        most_bytes: of resident memory, above which it gets SIGKILL; on Linux only.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryFile() as output:
        with _pinned(cores):
            start = time.perf_counter()
            child = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment)
        killed = None
        try:
            # Polled, because nothing else reaps a child with its usage and wakes at a time of one's choice.
            while True:
                pid, status, usage = os.wait4(child.pid, os.WNOHANG)
                seconds = time.perf_counter() - start
                if pid:
                    break
                if killed is None:
                    killed = _reason(child.pid, seconds, kill_after, most_bytes)
                    if killed is not None:
                        os.kill(child.pid, signal.SIGKILL)
                left = _POLL_SECONDS if kill_after is None or killed else kill_after - seconds
                time.sleep(min(_POLL_SECONDS, max(left, 0)))
        except BaseException:
            child.kill()
            child.wait()
            raise
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().decode("utf-8", "replace")
    unit = 1 if sys.platform == "darwin" else 1024
    cpu = usage.ru_utime + usage.ru_stime
    return Finished(seconds, cpu, usage.ru_maxrss * unit, child.returncode, killed, said)


def _reason(pid: int, seconds: float, kill_after: float | None, most_bytes: int | None) -> str | None:
    """Why to kill it now."""
    if kill_after is not None and seconds >= kill_after:
        return f"killed after {kill_after:.3f} s"
    if most_bytes is not None and _resident(pid) > most_bytes:
        return f"stopped: it held more than {most_bytes / 1e9:g} GB of memory"
    return None


def _resident(pid: int) -> int:
    """Bytes of memory that a process holds; 0 where the system does not say."""
    if not _STATM.exists():
        return 0
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:  # it ended just now
        return 0
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def can_pin() -> bool:
    """Whether this system can tie a process to cores."""
    return sys.platform == "linux"


@contextmanager
def _pinned(cores: int | None) -> Iterator[None]:
    """Who is started inside runs on the last `cores` cores only: the first ones serve most interrupts."""
    if cores is None or sys.platform != "linux":
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[-cores:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
