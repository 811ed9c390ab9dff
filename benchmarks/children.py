"""Runs a command as a child process on chosen cores and measures its time, CPU time and peak memory."""

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
_ERROR = re.compile(r"[\w.]+(Error|Exception): ")  # in a traceback; the message may have several lines
_STATM = Path(f"/proc/{os.getpid()}/statm")


@dataclass(frozen=True)
class Finished:
    """How a child ended.

    Attributes:
        seconds: from its start to its end.
        cpu_seconds: the CPU time of all its threads, in user and system mode.
        peak_bytes: the most resident memory it had. At its start this includes the memory of its parent, so a parent
            that measures imports nothing large.
        code: its exit code, negative for a signal.
        killed: why `run_child` killed it, or None.
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
        """The line of the output that says what went wrong: the last that names an error, else the last."""
        lines = [line.strip() for line in self.said.splitlines() if line.strip()]
        named = [line for line in lines if _ERROR.match(line)]
        return (named or lines or [f"exit code {self.code}, no message"])[-1]


def run_child(command: Sequence[str], *, cores: int | None = None, most_bytes: int | None = None) -> Finished:
    """Run a command to its end.

    Args:
        command: the program and its arguments; Python finds the project from any working folder.
        cores: the number of cores on which it may run; None for all.
        most_bytes: the resident memory above which it gets SIGKILL; on Linux only.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else each start compiles our sources, but not those of peers
    with tempfile.TemporaryFile() as output:
        with _pinned(cores):
            start = time.perf_counter()
            child = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment)
        killed = None
        try:
            # Polled, because its memory is looked at meanwhile.
            while True:
                pid, status, usage = os.wait4(child.pid, os.WNOHANG)
                seconds = time.perf_counter() - start
                if pid:
                    break
                if killed is None:
                    killed = _reason(child.pid, most_bytes)
                    if killed is not None:
                        os.kill(child.pid, signal.SIGKILL)
                time.sleep(_POLL_SECONDS)
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


def _reason(pid: int, most_bytes: int | None) -> str | None:
    """The reason to kill the process now, or None."""
    if most_bytes is not None and _resident(pid) > most_bytes:
        return f"stopped: it used more than {most_bytes / 1e9:g} GB of memory"
    return None


def _resident(pid: int) -> int:
    """The resident memory of a process in bytes; 0 if the system does not report it."""
    if not _STATM.exists():
        return 0
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:  # the process has just ended
        return 0
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def can_pin() -> bool:
    """Whether this system can pin a process to cores."""
    return sys.platform == "linux"


@contextmanager
def _pinned(cores: int | None) -> Iterator[None]:
    """Processes started inside run on the last `cores` cores only, because the first cores serve most interrupts."""
    if cores is None or sys.platform != "linux":
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[-cores:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
