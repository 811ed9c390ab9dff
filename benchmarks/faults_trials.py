"""One trial of benchmarks/faults.py: a command in a forked child with a fault armed, and how it ended."""

import ctypes
import errno
import hashlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from children import ROOT
from machine import say

SHIM_SOURCE = Path(__file__).with_name("faults_shim.c")
# As the enum in faults_shim.c: what happens at an operation, and the error if it fails.
ACTIONS = {
    "list": (0, 0, False),
    "kill": (1, 0, False),
    "kill in a write": (2, 0, False),
    "power cut": (3, 0, False),
    "no space": (4, errno.ENOSPC, False),
    "no space from then on": (4, errno.ENOSPC, True),
    "input/output error": (4, errno.EIO, False),
    "short write": (5, 0, False),
}
KILLS = ("kill", "kill in a write", "power cut")
HANG = "hang"
MEMORY_BYTES = 3 << 30  # of a child's own data; what needs more in a trial takes memory without limit
_FOUL = ("Traceback", "Exception ignored", "Fatal Python error", "terminate called", "panicked at")


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit code (negative for a signal) or `HANG`, what it said, and its seconds."""

    code: int | str
    out: str
    said: str
    seconds: float = 0.0
    peak_bytes: int = 0

    def foul(self, *codes: int | str) -> str | None:
        """Why this is no proper end, or None: another exit code, a traceback, or not one line that says why."""
        lines = [line for line in self.said.splitlines() if line.startswith("sketchpipe: ")]
        if self.code not in codes or any(word in self.said for word in _FOUL):
            return f"exit code {self.code}: {self.said.strip()[-300:]!r}"
        if self.code not in (0, -signal.SIGKILL) and (len(lines) != 1 or not self.said.endswith(f"{lines[0]}\n")):
            return f"exit code {self.code} with {len(lines)} lines that say why: {self.said[-300:]!r}"
        return None


@dataclass
class Row:
    """The result of a piece: what was tried, how often, how it ended, and each fault in a line."""

    what: str
    trials: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    skipped: str | None = None
    note: str = ""

    def add(self, injected: str, outcome: str, fault: str | None) -> None:
        """Count a trial."""
        self.trials += 1
        self.injected[injected] += 1
        self.outcomes["FAULT" if fault else outcome] += 1
        if fault:
            self.faults.append(fault)
            say(f"FAULT {self.what}: {fault}")


@dataclass(frozen=True)
class Arm:
    """A fault that the shim is armed with: which action at which operation below a folder."""

    action: str
    nth: int
    folder: Path


class Shim:
    """The compiled faults_shim.c, which has to be loaded by LD_PRELOAD; `missing` says why it cannot be used."""

    def __init__(self) -> None:
        path = os.environ.get("SKETCHPIPE_FAULTS_SHIM")
        self.missing = os.environ.get("SKETCHPIPE_FAULTS_MISSING", "the shim is not loaded")
        self._library = ctypes.CDLL(path) if path else None
        if self._library is not None:
            self.missing = ""
            self._library.faults_arm.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_long, *[ctypes.c_int] * 3]
            self._library.faults_shift_clock.argtypes = [ctypes.c_double, ctypes.c_long]
            self._library.faults_arm.restype = self._library.faults_shift_clock.restype = None

    def arm(self, arm: Arm, report: Path) -> None:
        """In a child: from now on the operations below a folder count."""
        assert self._library is not None
        what, number, lasts = ACTIONS[arm.action]
        self._library.faults_arm(os.fsencode(arm.folder), os.fsencode(report), arm.nth, what, number, lasts)

    def shift_clock(self, seconds: float, after_reads: int) -> None:
        """In a child: after so many times that it is read, the wall clock is off by so many seconds."""
        assert self._library is not None
        self._library.faults_shift_clock(seconds, after_reads)


def load_shim() -> None:
    """Start this program again with the shim preloaded; where that is not possible, go on without it."""
    if "SKETCHPIPE_FAULTS_SHIM" in os.environ or "SKETCHPIPE_FAULTS_MISSING" in os.environ:
        return
    shim, missing = compiled_shim(Path(tempfile.gettempdir()))
    if shim is None:
        os.environ["SKETCHPIPE_FAULTS_MISSING"] = missing
        return
    changed = {"LD_PRELOAD": str(shim), "SKETCHPIPE_FAULTS_SHIM": str(shim), "PYTHONPATH": str(ROOT)}
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | changed)


def compiled_shim(folder: Path) -> tuple[Path | None, str]:
    """The compiled shim in a folder, or None and the reason."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if sys.platform != "linux" or compiler is None:
        return None, "no C compiler" if sys.platform == "linux" else "not Linux"
    shim = folder / f"sketchpipe-faults-{os.getuid()}-{_hash(SHIM_SOURCE)[:16]}.so"
    if not shim.exists():
        made = shim.with_suffix(f".{os.getpid()}")
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", made, SHIM_SOURCE, "-ldl", "-lpthread"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            return None, f"the shim does not compile: {ran.stderr.strip()[-200:]}"
        made.replace(shim)
    return shim, ""


def forked(
    work: Callable[[], object],
    *,
    before: Callable[[], object] | None = None,
    environment: Mapping[str, str] | None = None,
    cwd: Path,
    timeout: float = 60.0,
) -> Ended:
    """Run `work` in a forked child to its end, or until it hangs; `before` is called first, to arm a fault."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        start = time.monotonic()
        pid = os.fork()
        if pid == 0:
            _in_child(work, before, environment or {}, cwd, out.fileno(), said.fileno())
        status, usage = _wait(pid, start + timeout)
        texts = []
        for file in (out, said):
            file.seek(0)
            texts.append(file.read(1 << 20).decode("utf-8", "replace"))
    code = HANG if status is None else os.waitstatus_to_exitcode(status)
    return Ended(code, texts[0], texts[1], time.monotonic() - start, usage)


def _in_child(
    work: Callable[[], object],
    before: Callable[[], object] | None,
    environment: Mapping[str, str],
    cwd: Path,
    out: int,
    said: int,
) -> None:
    """Everything that a child does; never returns."""
    code = 1
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(said, 2)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.chdir(cwd)
        os.environ.update(environment)
        if before is not None:
            before()
        work()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _wait(pid: int, deadline: float) -> tuple[int | None, int]:
    """The status of a child and its peak memory; None for the status if it had to be killed."""
    killed = False
    pause = 0.0005
    while True:
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            return (None if killed else status), usage.ru_maxrss * 1024
        if time.monotonic() > deadline and not killed:
            os.kill(pid, signal.SIGKILL)
            killed = True
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


def command(
    arguments: Sequence[str],
    cwd: Path,
    *,
    before: Callable[[], object] | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> Ended:
    """Run a `sketchpipe` command in a forked child, as its `main` runs it."""

    def work() -> None:
        from pipeline.cli.main import main

        sys.argv = ["sketchpipe", *arguments]
        main()

    return forked(work, before=before, environment=environment, cwd=cwd, timeout=timeout)


def cold(
    arguments: Sequence[str], cwd: Path, environment: Mapping[str, str] | None = None, timeout: float = 120.0
) -> Ended:
    """Run a `sketchpipe` command in a process of its own, which loads everything anew."""
    program = [sys.executable, "-c", "from pipeline.cli.main import main; main()", *arguments]
    variables = {**os.environ, **(environment or {}), "PYTHONPATH": str(ROOT)}
    variables.pop("LD_PRELOAD", None)
    start = time.monotonic()
    try:
        ran = subprocess.run(
            program, cwd=cwd, env=variables, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as late:
        return Ended(HANG, "", (late.stderr or b"").decode("utf-8", "replace"), timeout)
    out, said = (text.decode("utf-8", "replace") for text in (ran.stdout, ran.stderr))
    return Ended(ran.returncode, out, said, time.monotonic() - start)


def visible(folder: Path) -> dict[str, str]:
    """The hash of each file below a folder that neither is hidden nor lies in a hidden folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = {path: path.relative_to(folder) for path in files}
    return {str(name): _hash(path) for path, name in names.items() if not _is_hidden(name)}


def hidden(folder: Path) -> set[str]:
    """The hidden entries below a folder, and what is in them."""
    return {str(name) for path in folder.rglob("*") if _is_hidden(name := path.relative_to(folder))}


def _is_hidden(name: Path) -> bool:
    return any(part.startswith(".") for part in name.parts)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def replaced(state: Path, by: Path) -> Path:
    """A fresh copy of the folder `by` at `state`, with its links, pipes and times."""
    shutil.rmtree(state, ignore_errors=True)
    shutil.copytree(by, state, symlinks=True)
    return state


def flip(path: Path, dice: random.Random) -> int:
    """Flip a bit of a file and keep its time, as a disk does on which data decay; returns the byte's place."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    place = dice.randrange(len(content))
    content[place] ^= 1 << dice.randrange(8)
    with path.open("r+b") as file:  # the same inode
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return place
