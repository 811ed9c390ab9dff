"""Compiles functions that only kernels call as parts of those kernels, and not by themselves as well.

numba optimises each function and makes machine code of it, and then optimises it again inside each kernel that calls
it. Of such a function only the latter is ever run. Without the former, the kernels of a build are compiled in five
sixths of the time, and those of a training in three quarters.
"""

from typing import Any

from numba.core import compiler
from numba.core.codegen import JITCodeLibrary

_LIBRARY: Any = JITCodeLibrary  # numba's types do not have what is not public
_COMPILER: Any = compiler.Compiler
_REPLACED = ("codegen", "get_pointer_to_function", "_optimize_final_module", "_finalize_final_module")


class _Library(_LIBRARY):  # type: ignore[misc]
    """LLVM's code of one function and of all that it calls, for the libraries of kernels to link."""

    @property
    def codegen(self) -> "_NoEnvironments":
        return _NoEnvironments()

    def get_pointer_to_function(self, name: str) -> int:  # noqa: ARG002 - numba's signature
        """0, which tells numba that there is no machine code."""
        self._ensure_finalized()
        return 0

    def _optimize_final_module(self) -> None:
        """Leave it to the kernel's library."""

    def _finalize_final_module(self) -> None:
        """Make no machine code."""
        self._finalized = True


class _NoEnvironments:
    """Takes the environment of a function, which only code for Python needs, and for which there is no machine code."""

    def set_env(self, name: str, environment: object) -> None:
        """Do nothing."""


class InnerCompiler(_COMPILER):  # type: ignore[misc]
    """numba's compiler, for functions that only kernels call."""

    def __init__(self, typing: Any, target: Any, library: Any, *others: Any) -> None:
        if library is None and all(hasattr(_LIBRARY, name) for name in _REPLACED):  # a later numba may lack them
            library = _Library(target.codegen(), "inner")
            library.enable_object_caching()
        super().__init__(typing, target, library, *others)
