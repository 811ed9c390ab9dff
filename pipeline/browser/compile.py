"""Compiles kernels to WebAssembly, and keeps the module in the user's cache for as long as nothing changes."""

import contextlib
import dataclasses
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.browser import kernels as definitions
from pipeline.browser import module, translate, worker
from pipeline.browser.kernels import Exported
from pipeline.errors import SketchpipeError
from pipeline.kernel_cache import digest_of, user_cache
from pipeline.storage.reading import read_limited

COMPILING = "compiling kernels to WebAssembly, the first time only; this may take half a minute"
_MOST_BYTES = 1 << 24  # of a module; the page's has 26 kB
_HASH_BYTES = 32
_MAGIC = b"\0asm\1\0\0\0"  # the first bytes of a module


def compile_kernels(kernels: Sequence[Exported]) -> bytes:
    """A WebAssembly module with these kernels; it imports memory, and maybe a stack (`pipeline.browser.kernels`).

    Raises:
        SketchpipeError: a kernel does what WebAssembly cannot do without a linker or a library.
    """
    path = _cached_path(kernels)
    if path is not None and (found := _read(path)) is not None:
        return found
    made = _compile(kernels)
    if path is not None:
        _keep(path, made)
    return made


def is_compiled(kernels: Sequence[Exported]) -> bool:
    """Whether the module of these kernels is in the cache."""
    path = _cached_path(kernels)
    return path is not None and _read(path) is not None


def _compile(kernels: Sequence[Exported]) -> bytes:
    asked = json.dumps([dataclasses.asdict(one) for one in kernels])
    root = str(Path(__file__).parents[2])
    with tempfile.TemporaryDirectory() as folder:  # the machine code for no CPU in particular is of no use later
        variables = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
        variables |= {**worker.SETTINGS, "NUMBA_CACHE_DIR": folder}
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        called = [sys.executable, "-P", "-m", worker.__name__]  # -P: no module of the current folder
        ran = subprocess.run(called, input=asked.encode(), env=variables, capture_output=True, check=False)
    if ran.returncode != 0 or not ran.stdout.startswith(_MAGIC):
        lines = ran.stderr.decode(errors="replace").strip().splitlines()
        why = f"ended by signal {-ran.returncode}" if ran.returncode < 0 else (lines or ["no module was made"])[-1]
        raise SketchpipeError(f"kernels cannot be compiled to WebAssembly: {why}")
    return ran.stdout


def _cached_path(kernels: Sequence[Exported]) -> Path | None:
    """The file for a module, whose name depends on all sources that it is made of; None without a cache folder."""
    digest = hashlib.sha256(repr(tuple(kernels)).encode())
    for source in (__file__, definitions.__file__, module.__file__, translate.__file__, worker.__file__):
        digest.update(digest_of(Path(str(source))).encode())
    for name in sorted({one.module for one in kernels}):
        found = importlib.util.find_spec(name)
        assert found is not None, name
        assert found.origin is not None, name
        digest.update(digest_of(Path(found.origin)).encode())
    try:
        return user_cache("wasm") / f"{digest.hexdigest()[:24]}.wasm"
    except RuntimeError:  # no home folder
        return None


def _read(path: Path) -> bytes | None:
    """The module in a file of the cache; None if it is missing or damaged."""
    try:
        content = read_limited(path, _MOST_BYTES, link=True)
    except OSError:
        return None
    made = content[_HASH_BYTES:]
    return made if hashlib.sha256(made).digest() == content[:_HASH_BYTES] else None


def _keep(path: Path, made: bytes) -> None:
    """Write a module to the cache, if that can be written."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(hashlib.sha256(made).digest() + made)
        partial.replace(path)
        return
    with contextlib.suppress(OSError):  # a full disk needs the space
        partial.unlink()
