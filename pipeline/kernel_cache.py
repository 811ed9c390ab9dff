"""Chooses where numba caches compiled kernels: a folder in the user's cache for each state of the sources.

numba compiles a kernel again when the kernel's own file changes, but not when another file changes whose kernels or
constants are part of the same machine code. So the machine code of each file is stored in a folder that is named by a
digest of that file, of the files of this package that it imports, and of everything else that the machine code depends
on.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import shutil
import sys
import time
from pathlib import Path

import llvmlite
import llvmlite.binding
import numba

UNUSED_SECONDS = 30 * 24 * 3600  # folders that no process has used for this long are removed
_TOUCH_SECONDS = 24 * 3600  # a folder's time of use is updated when it is older than this
_PACKAGE = Path(__file__).parent
_IMPORT = re.compile(rb"^from (pipeline(?:\.\w+)*) import \(?([\w, ]*)", re.MULTILINE)
_NO_MACHINE_CODE = ("NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS")  # variables of numba that do not change the code


def user_cache(name: str) -> Path:
    """The folder for one kind of cached files: `$XDG_CACHE_HOME/sketchpipe/<name>`, by default below `~/.cache`.

    Raises:
        RuntimeError: this user has no home folder.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "sketchpipe" / name


def cache_folder(source: Path) -> Path | None:
    """The cache folder for the kernels of one source file, created and marked as used; None if it cannot be written.

    `NUMBA_CACHE_DIR` replaces the user's cache folder; nothing is ever removed from there.
    """
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    try:
        base = Path(chosen) if chosen else user_cache("numba")
        folder = base / digest_of(source)
        folder.mkdir(parents=True, exist_ok=True)
        if folder.is_symlink() or not os.access(folder, os.W_OK):
            return None
        if time.time() - folder.stat().st_mtime > _TOUCH_SECONDS:
            os.utime(folder)
        if not chosen:
            with contextlib.suppress(OSError):  # a file system without locks, a folder that cannot be listed
                _remove_unused(base)
    except (OSError, RuntimeError):  # no home folder, a file of that name, or a disk that cannot be written
        return None
    return folder


def not_kept(why: str | None = None) -> str:
    """What to tell where compiled kernels cannot be written into the cache: which folder it is, and the remedy."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    try:
        base = str(Path(chosen) if chosen else user_cache("numba"))
    except RuntimeError:
        base = "~/.cache/sketchpipe/numba"
    reason = f" ({why})" if why else ""
    return (
        f"each command compiles them again, because {base} cannot be written{reason}; "
        f"set NUMBA_CACHE_DIR to {'another' if chosen else 'a'} folder that can"
    )


def digest_of(source: Path) -> str:
    """The digest of a source file, of the files of this package that it imports, and of Python, numba and the CPU."""
    return hashlib.sha256(_environment() + b"".join(map(_text_of, _imported_by(source)))).hexdigest()[:24]


@functools.cache
def _environment() -> bytes:
    """What the machine code depends on besides the sources, including numba's environment variables."""
    variables = [item for item in sorted(os.environ.items()) if item[0].startswith("NUMBA_")]
    features = sorted(llvmlite.binding.get_host_cpu_features().items())
    parts = (sys.version, numba.__version__, llvmlite.__version__, llvmlite.binding.get_host_cpu_name(), features)
    return repr((*parts, [item for item in variables if item[0] not in _NO_MACHINE_CODE])).encode()


@functools.cache
def _text_of(file: Path) -> bytes:
    return file.read_bytes()


@functools.cache
def _direct_imports(file: Path) -> tuple[Path, ...]:
    """The files of this package that one file imports at its top level."""
    found = []
    for package, names in _IMPORT.findall(_text_of(file)):
        path = _PACKAGE.parent.joinpath(*package.decode().split("."))
        inside = [path / f"{name.strip()}.py" for name in names.decode().split(",")]
        found += [candidate for candidate in (path.with_suffix(".py"), *inside) if candidate.is_file()]
    return tuple(found)


@functools.cache
def _imported_by(source: Path) -> tuple[Path, ...]:
    """A file and all files of this package that it imports, directly or indirectly, sorted."""
    found: dict[Path, None] = {}
    waiting = [source]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found[file] = None
            waiting += _direct_imports(file)
    return tuple(sorted(found))


@functools.cache
def _remove_unused(base: Path) -> None:
    """Remove, once in a process, the folders unused for a month, unless another process is doing so now."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK  # neither through a link nor waiting for a pipe
    with os.fdopen(os.open(base / ".lock", flags, 0o666), "wb") as lock, contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for folder in base.iterdir():
            if folder.is_dir() and time.time() - folder.stat().st_mtime > UNUSED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
