"""Keeps what XLA compiled on disk between processes, with a SHA-256 for each entry of the cache.

JAX writes a cache entry in place and reads it without a checksum: it loaded 119 of 200 entries in which one bit was
flipped, and one of them ended the process by SIGILL. So the SHA-256 of each entry is written beside it, right after the
entry: a process that a signal ends keeps what it compiled. The next process first removes every entry whose SHA-256 is
missing or does not match, whatever is in either file, and XLA compiles those again.
"""

import contextlib
import functools
import hashlib
import os
from pathlib import Path

import jax

from pipeline import first_calls
from pipeline.kernel_cache import user_cache
from pipeline.storage.reading import open_regular, read_limited

_HASH_CHARACTERS = 64
_COMPILED = "/jax/core/compile/backend_compile_duration"  # is told after the entry was written


def keep_compiled() -> None:
    """Set JAX's compilation cache to `$XDG_CACHE_HOME/sketchpipe/xla` (by default below ~/.cache), or tell why not.

    Does nothing if `JAX_COMPILATION_CACHE_DIR` is set: then JAX uses that folder, without our checksums.
    """
    _note_first_calls()
    if jax.config.jax_compilation_cache_dir is not None:  # type: ignore[attr-defined] # defined when jax is imported
        return
    folder = None
    try:
        folder = user_cache("xla")
        folder.mkdir(parents=True, exist_ok=True)
        remove_unverified(folder)
        is_writable = os.access(folder, os.W_OK)
    except (OSError, RuntimeError):  # no home folder, a file in place of the folder, an unreadable disk
        is_writable = False
    if folder is None or not is_writable:
        first_calls.tell_once(
            f"each command compiles its network again, because {folder or '~/.cache/sketchpipe/xla'} cannot be "
            "written; set JAX_COMPILATION_CACHE_DIR to a folder that can"
        )
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    _write_checksums_to(folder)


@functools.cache
def _note_first_calls() -> None:
    """Let `first_calls` know, once in a process, when XLA has compiled or loaded something."""

    def note(event: str, duration_secs: float, **_details: str | int) -> None:  # noqa: ARG001 - JAX names it
        if event == _COMPILED:
            first_calls.note()

    jax.monitoring.register_event_duration_secs_listener(note)


@functools.cache
def _write_checksums_to(folder: Path) -> None:
    """Write the SHA-256 of each new entry in `folder` as soon as JAX has written it, once it has compiled it."""

    def write(event: str, duration_secs: float, **_details: str | int) -> None:
        least = jax.config.jax_persistent_cache_min_compile_time_secs  # type: ignore[attr-defined] # as above
        if event == _COMPILED and duration_secs >= least:
            write_checksums(folder)

    jax.monitoring.register_event_duration_secs_listener(write)


def remove_unverified(folder: Path) -> None:
    """Remove each cache entry whose SHA-256 is missing or does not match."""
    for entry in _entries(folder):
        checksum = _checksum_of(entry)
        try:
            matches = read_limited(checksum, _HASH_CHARACTERS, link=False) == _hash_of(entry)
        except OSError:  # it is missing, another process removed it, or it is no file
            matches = False
        if not matches:
            for damaged in (checksum, entry):
                with contextlib.suppress(OSError):  # another process removed it first; JAX passes over folders
                    damaged.unlink()


def write_checksums(folder: Path) -> None:
    """Write the SHA-256 of each cache entry that has none.

    If another process is still writing an entry, its SHA-256 will not match, and a later process removes the entry.
    """
    for entry in _entries(folder):
        checksum = _checksum_of(entry)
        with contextlib.suppress(OSError):  # the disk is full: the entry is compiled again next time
            if not os.path.lexists(checksum):
                checksum.write_bytes(_hash_of(entry))


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*-cache"))


def _checksum_of(entry: Path) -> Path:
    return entry.with_name(f"{entry.name}.sha256")


def _hash_of(path: Path) -> bytes:
    with open_regular(path, link=False) as file:
        return hashlib.file_digest(file, "sha256").hexdigest().encode()  # type: ignore[arg-type] # of a raw file
