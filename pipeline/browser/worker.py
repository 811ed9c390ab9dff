"""Compiles kernels to WebAssembly in a process of its own, because numba's settings differ: `python -m` this module.

Reads a JSON list of `Exported` from stdin and writes the module to stdout. numba must not optimise for this CPU, or its
code holds instructions that only this CPU has.
"""

import importlib
import json
import os
import sys
import warnings
from typing import Any

import llvmlite
import numba

from pipeline.browser.kernels import Exported
from pipeline.browser.module import module_of
from pipeline.browser.translate import compile_object, exported_code, numba_types
from pipeline.errors import SketchpipeError

SETTINGS = {"NUMBA_OPT": "0", "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}


def main() -> None:
    """Compile what stdin names; exit with a message on stderr if that is not possible."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what an imported module prints is no part of the module that is made
    warnings.simplefilter("ignore")  # numba's, that code which is compiled for another machine is not cached
    kernels = [Exported(**{**one, "arguments": tuple(one["arguments"])}) for one in json.load(sys.stdin)]
    try:
        made = _compile(kernels)
    except Exception as error:  # of many kinds: numba, LLVM and the kernels' own modules raise theirs
        if isinstance(error, SketchpipeError):
            sys.exit(str(error))
        first = str(error).strip().partition("\n")[0]
        sys.exit(f"{type(error).__name__}: {first} (numba {numba.__version__}, llvmlite {llvmlite.__version__})")
    with output:
        output.write(made)


def _compile(kernels: list[Exported]) -> bytes:
    names = [one.name for one in kernels]
    return module_of(compile_object([_code_of(one) for one in kernels], names), names)


def _code_of(kernel: Exported) -> str:
    function: Any = getattr(importlib.import_module(kernel.module), kernel.function)
    signature = numba_types(kernel.arguments)
    function.compile(signature)
    symbol: str = function.overloads[signature].fndesc.mangled_name
    return exported_code(function.inspect_llvm(signature), symbol, kernel)


if __name__ == "__main__":
    main()
