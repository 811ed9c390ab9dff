"""What XLA compiled, kept on disk from one process to the next.

JAX writes an entry of its cache in place and reads it without a checksum: of 200 flipped bits 119 passed, and one such
entry ended the process by SIGILL. So each entry has its SHA-256 beside it, written when a process ends; what has none,
or another, is removed before the cache is used, and compiled anew.
"""

import atexit
import contextlib
import hashlib
import os
from pathlib import Path

import jax

from pipeline.kernel_cache import user_cache

_MARK = ".sha256"


def keep_compiled() -> None:
    """Keep what is compiled in `$XDG_CACHE_HOME/sketchpipe/xla`, by default below ~/.cache, where that can be written.

    Does nothing where `JAX_COMPILATION_CACHE_DIR` names another place: that is JAX's own.
    """
    if jax.config.jax_compilation_cache_dir is not None:  # type: ignore[attr-defined] # made when jax is imported
        return
    try:
        folder = user_cache("xla")
        folder.mkdir(parents=True, exist_ok=True)
        remove_unproved(folder)
        if not os.access(folder, os.W_OK):
            return
    except (OSError, RuntimeError):  # no home, a file in its place, a disk that cannot be read
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    atexit.register(prove, folder)


def remove_unproved(folder: Path) -> None:
    """Remove the entries whose SHA-256 is not the one beside them."""
    for entry in _entries(folder):
        mark = entry.with_name(entry.name + _MARK)
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            if not mark.exists() or mark.read_text() != _hash_of(entry):
                mark.unlink(missing_ok=True)
                entry.unlink()


def prove(folder: Path) -> None:
    """Write the SHA-256 of entries that have none; one that another process is writing will not fit it, and go."""
    for entry in _entries(folder):
        mark = entry.with_name(entry.name + _MARK)
        with contextlib.suppress(OSError):  # a full disk: compiled anew next time
            if not mark.exists():
                mark.write_text(_hash_of(entry))


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*-cache"))


def _hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
