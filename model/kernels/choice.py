"""Says whether a training on this CPU should use these kernels, and which they are. Imports no JAX."""

import functools
import importlib.util
import os
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba

from model.kernels.vectors import WIDTH

_settings: Any = numba.config  # numba's type does not have the settings
LAX = "lax"  # XLA's kernels
VERSION = 1  # raised when results change
OWN = f"own {VERSION}, vectors of {WIDTH}"
_NEEDED = ("avx2", "fma")  # features of the CPUs on which they were measured
_TARGETS = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")  # with these, numba compiles for another CPU
_FFI_HEADER, _FFI_MAJOR = Path("include/xla/ffi/api/c_api.h"), "#define XLA_FFI_API_MAJOR 0\n"


@functools.cache
def kernels_here() -> str:
    """The kernels of a training on this CPU: `OWN` with AVX2 and FMA, else `LAX`.

    There, on two cores, they are faster than XLA's. Without JIT, or compiled for another CPU, they are not used, nor if
    XLA's foreign function interface has another major version, which could not call them.
    """
    features = llvmlite.binding.get_host_cpu_features()
    usual = not _settings.DISABLE_JIT and not any(map(os.environ.get, _TARGETS))
    return OWN if usual and all(map(features.get, _NEEDED)) and _xla_can_call_them() else LAX


def _xla_can_call_them() -> bool:
    found = importlib.util.find_spec("jaxlib")
    try:
        header = Path(found.origin).parent / _FFI_HEADER if found and found.origin else None
        return header is not None and _FFI_MAJOR in header.read_text()
    except OSError:
        return False
