"""Turns numba's LLVM code of kernels, which is for this computer, into an object file of WebAssembly.

llvmlite brings LLVM's compiler for WebAssembly, so that no other compiler is needed. A kernel's own function takes an
array as seven numbers and writes its result to an address; a function of a simpler form is added that calls it.
"""

import re
from collections.abc import Sequence

import llvmlite.binding as llvm
import numpy as np
from numba import types

from pipeline.browser.kernels import RAISED, Exported

TRIPLE = "wasm32-unknown-unknown"
FEATURES = (
    "+simd128,+bulk-memory,+sign-ext,+nontrapping-fptoint,+mutable-globals"  # since Chrome 91, Firefox 89, Safari 16.4
)
_NONE = -2  # the status of a function of numba that returns None
_SCALARS = {
    "bool": ("i32", types.boolean, "i8", "trunc"),
    "int64": ("i32", types.int64, "i64", "sext"),
    "float32": ("float", types.float32, "float", None),
    "float64": ("double", types.float64, "double", None),
}
_INTRINSICS = {"sqrt": "double", "sqrtf": "float"}  # functions of C that are instructions in WebAssembly


def numba_types(arguments: Sequence[str]) -> tuple[types.Type, ...]:
    """Numba's types of a kernel's arguments."""
    return tuple(_array_type(one) if one.endswith("]") else _SCALARS[one][1] for one in arguments)


def exported_code(code: str, symbol: str, kernel: Exported) -> str:
    """LLVM's code of a kernel for WebAssembly, with the function that the module exports.

    Args:
        code: numba's code of the kernel, with all functions that it calls.
        symbol: the name of the kernel's own function in it.
        kernel: the kernel.
    """
    for name, kind in _INTRINSICS.items():
        intrinsic = f"llvm.sqrt.{'f64' if kind == 'double' else 'f32'}"
        code = code.replace(f"@{name}(", f"@{intrinsic}(")
        declared = re.compile(rf"^declare [^\n]*@{re.escape(intrinsic)}\([^\n]*\n", re.MULTILINE)
        code = declared.sub("", code) + f"\ndeclare {kind} @{intrinsic}({kind})\n" if f"@{intrinsic}(" in code else code
    return code + _wrapper(symbol, kernel)


def compile_object(codes: Sequence[str], names: Sequence[str]) -> bytes:
    """Compile and optimise the code of some kernels as one object file, which keeps the functions called `names`."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(TRIPLE).create_target_machine(
        cpu="generic", features=FEATURES, opt=3, reloc="static", codemodel="default"
    )
    whole = None
    for code in codes:
        module = llvm.parse_assembly(_retargeted(code, str(machine.target_data)))
        if whole is None:
            whole = module
        else:
            whole.link_in(module)
    assert whole is not None, "one kernel or more"
    for one in (*whole.functions, *whole.global_variables):
        if not one.is_declaration:  # what no kernel of the module uses is then left out
            one.linkage = "external" if one.name in names else "internal"
    whole.verify()
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = tuning.slp_vectorization = tuning.loop_unrolling = True
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(whole, builder)
    content: bytes = machine.emit_object(whole)
    return content


def _retargeted(code: str, layout: str) -> str:
    code = re.sub(r"^target datalayout = .*$", f'target datalayout = "{layout}"', code, flags=re.MULTILINE)
    return re.sub(r"^target triple = .*$", f'target triple = "{TRIPLE}"', code, flags=re.MULTILINE)


def _array_type(argument: str) -> types.Array:
    kind, axes = argument.removesuffix("]").split("[")
    return types.Array(getattr(types, kind), 1 + axes.count(","), "C")


def _wrapper(symbol: str, kernel: Exported) -> str:
    """The function that a module exports, which calls the kernel's own."""
    taken, made, passed = [], [], []
    for number, argument in enumerate(kernel.arguments):
        name = f"%a{number}"
        if argument.endswith("]"):
            kind = _array_type(argument)
            lengths = [f"{name}.length{axis}" for axis in range(kind.ndim)]
            taken += [f"ptr {name}", *(f"i32 {one}" for one in lengths)]
            made += [f"{one}.wide = zext i32 {one} to i64" for one in lengths]
            item = np.dtype(str(kind.dtype)).itemsize
            size, strides = f"{lengths[-1]}.wide", [str(item)]
            for axis in range(kind.ndim - 2, -1, -1):
                made.append(f"{name}.stride{axis} = mul i64 {lengths[axis + 1]}.wide, {strides[0]}")
                made.append(f"{name}.size{axis} = mul i64 {lengths[axis]}.wide, {size}")
                size, strides = f"{name}.size{axis}", [f"{name}.stride{axis}", *strides]
            passed += ["ptr null", "ptr null", f"i64 {size}", f"i64 {item}", f"ptr {name}"]
            passed += [*(f"i64 {one}.wide" for one in lengths), *(f"i64 {one}" for one in strides)]
        else:
            outer, _, inner, conversion = _SCALARS[argument]
            taken.append(f"{outer} {name}")
            if conversion is not None:
                made.append(f"{name}.wide = {conversion} {outer} {name} to {inner}")
            passed.append(f"{inner} {name}{'.wide' if conversion else ''}")
    body = "\n  ".join(made)
    return f"""
define i32 @{kernel.name}({", ".join(taken)}) {{
  %result = alloca i64
  %raised = alloca ptr
  store i64 0, ptr %result
  {body}
  %status = call i32 @{symbol}(ptr %result, ptr %raised, {", ".join(passed)})
  %failed = icmp ne i32 %status, 0
  %something = icmp ne i32 %status, {_NONE}
  %is_raised = and i1 %failed, %something
  %value = load i64, ptr %result
  %short = trunc i64 %value to i32
  %returned = select i1 %is_raised, i32 {RAISED}, i32 %short
  ret i32 %returned
}}
"""
