"""Keeps compiled kernels in files with checksums, in a folder of the user's cache for each state of the sources.

numba compiles a kernel again when the kernel's own file changes, but not when another file changes whose kernels or
constants are part of the same machine code. So the machine code of each file is stored in a folder that is named by a
digest of that file, of the files of `pipeline` and `model` that it imports, and of everything else that the machine
code depends on.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import pickle
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding
import numba

from pipeline.storage.reading import read_limited

UNUSED_SECONDS = 30 * 24 * 3600  # folders that no process has used for this long are removed
_TOUCH_SECONDS = 24 * 3600  # a folder's time of use is updated when it is older than this
_MOST_BYTES = 1 << 28  # of a file of machine code; the largest has 3 MB
_HASH_BYTES = 32
_PACKAGE = Path(__file__).parent
_IMPORT = re.compile(rb"^from ((?:pipeline|model)(?:\.\w+)*) import \(?([\w, ]*)", re.MULTILINE)
_NO_MACHINE_CODE = ("NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS")  # variables of numba that do not change the code


class SealedFiles:
    """The files with the machine code of one kernel, one for each signature; it replaces numba's `IndexDataCacheFile`.

    Each file begins with the SHA-256 of the rest, which is a pickle of the key and of numba's data. numba's own files
    have no checksum: machine code with a flipped bit would be run.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name

    def load(self, key: object) -> Any:
        """The data of a key; None if there is none, or if its file is damaged."""
        try:
            content = read_limited(self._path(key), _MOST_BYTES, link=True)
        except OSError:
            return None
        code = memoryview(content)[_HASH_BYTES:]
        if hashlib.sha256(code).digest() != content[:_HASH_BYTES]:
            return None
        found, data = pickle.loads(code)
        return data if found == key else None

    def save(self, key: object, data: object) -> None:
        """Write the data of a key, in place of a damaged file too.

        Raises:
            OSError: the folder cannot be written.
        """
        from numba.core.serialize import dumps

        code: bytes = dumps((key, data))  # type: ignore[no-untyped-call]
        path = self._path(key)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        try:
            partial.write_bytes(hashlib.sha256(code).digest() + code)
            partial.replace(path)
        except OSError:
            with contextlib.suppress(OSError):  # a full disk needs the space
                partial.unlink()
            raise

    def has_any(self) -> bool:
        """Whether there is a file, damaged or not."""
        return any(self._folder.glob(f"{self._name}.*.kernel"))

    def flush(self) -> None:
        """Do nothing: a damaged file is written anew by `save`."""

    def _path(self, key: object) -> Path:
        return self._folder / f"{self._name}.{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.kernel"


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


@functools.cache
def digest_of(source: Path) -> str:
    """The digest of a source file, of the files of both packages that it imports, and of Python, numba and the CPU."""
    return hashlib.sha256(_environment() + b"".join(map(_hash_of, _imported_by(source)))).hexdigest()[:24]


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
def _hash_of(file: Path) -> bytes:
    return hashlib.sha256(_text_of(file)).digest()


@functools.cache
def _direct_imports(file: Path) -> tuple[Path, ...]:
    """The files of both packages that one file imports at its top level."""
    found = []
    for package, names in _IMPORT.findall(_text_of(file)):
        path = _PACKAGE.parent.joinpath(*package.decode().split("."))
        inside = [path / f"{name.strip()}.py" for name in names.decode().split(",")]
        found += [candidate for candidate in (path.with_suffix(".py"), *inside) if candidate.is_file()]
    return tuple(found)


@functools.cache
def _imported_by(source: Path) -> tuple[Path, ...]:
    """A file and all files of both packages that it imports, directly or indirectly, sorted."""
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
