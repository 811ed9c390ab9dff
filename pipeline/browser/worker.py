"""Compiles kernels to WebAssembly in a process of its own, because numba's settings differ: `python -m` this module.

Reads a JSON list of `Exported` from stdin and writes the module to stdout. numba must not optimise for this CPU, or its
code holds instructions that only this CPU has.
"""

import importlib
import json
import sys
import warnings
from typing import Any

from pipeline.browser.kernels import Exported
from pipeline.browser.module import module_of
from pipeline.browser.translate import compile_object, exported_code, numba_types
from pipeline.errors import SketchpipeError

SETTINGS = {"NUMBA_OPT": "0", "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}


def main() -> None:
    """Compile what stdin names; exit with a message on stderr if that is not possible."""
    warnings.simplefilter("ignore")  # numba's, that code which is compiled for another machine is not cached
    kernels = [Exported(**{**one, "arguments": tuple(one["arguments"])}) for one in json.load(sys.stdin)]
    names = [one.name for one in kernels]
    content = compile_object([_code_of(one) for one in kernels], names)
    try:
        sys.stdout.buffer.write(module_of(content, names))
    except SketchpipeError as error:
        sys.exit(str(error))


def _code_of(kernel: Exported) -> str:
    function: Any = getattr(importlib.import_module(kernel.module), kernel.function)
    signature = numba_types(kernel.arguments)
    function.compile(signature)
    symbol: str = function.overloads[signature].fndesc.mangled_name
    return exported_code(function.inspect_llvm(signature), symbol, kernel)


if __name__ == "__main__":
    main()
