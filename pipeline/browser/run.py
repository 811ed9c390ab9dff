"""Runs a WebAssembly module outside of a browser, by wasmtime, to prove what it computes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import wasmtime
from numpy.typing import NDArray

from pipeline.browser.kernels import MEMORY, RAISED, STACK, STACK_BYTES, Exported
from pipeline.errors import SketchpipeError

_PAGE = 1 << 16  # bytes of a page of memory
_ALIGNED = 64


@dataclass(frozen=True)
class Placed:
    """An array in the module's memory."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        """Its length in bytes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


class Runner:
    """A module of kernels and its memory.

    Attributes:
        end: where free memory begins; set it back to reuse memory.
    """

    def __init__(self, module: bytes, kernels: Sequence[Exported]) -> None:
        self._store = wasmtime.Store()
        compiled = wasmtime.Module(self._store.engine, module)
        limits = wasmtime.Limits(STACK_BYTES // _PAGE + 1, None)
        self._memory = wasmtime.Memory(self._store, wasmtime.MemoryType(limits))
        of_stack = wasmtime.GlobalType(wasmtime.ValType.i32(), mutable=True)
        stack = wasmtime.Global(self._store, of_stack, wasmtime.Val.i32(STACK_BYTES))
        given: dict[tuple[str, str], Any] = {MEMORY: self._memory, STACK: stack}
        imports = [given[one.module, one.name or ""] for one in compiled.imports]
        exports = wasmtime.Instance(self._store, compiled, imports).exports(self._store)
        self._functions: dict[str, Any] = {one.name: exports[one.name] for one in kernels}
        self._arguments = {one.name: one.arguments for one in kernels}
        self.end = STACK_BYTES

    def put(self, array: NDArray[Any]) -> Placed:
        """Copy an array into the module's memory."""
        placed = self.room(array.shape, array.dtype)
        self._memory.write(self._store, np.ascontiguousarray(array).tobytes(), placed.address)
        return placed

    def room(self, shape: int | tuple[int, ...], dtype: Any) -> Placed:
        """Take memory for an array, whose numbers are any."""
        placed = Placed(self.end, shape if isinstance(shape, tuple) else (shape,), np.dtype(dtype))
        self.end = -(-(placed.address + placed.bytes) // _ALIGNED) * _ALIGNED
        missing = self.end - self._memory.data_len(self._store)
        if missing > 0:
            self._memory.grow(self._store, -(-missing // _PAGE))
        return placed

    def get(self, placed: Placed) -> NDArray[Any]:
        """A copy of an array in the module's memory."""
        content = self._memory.read(self._store, placed.address, placed.address + placed.bytes)
        return np.frombuffer(content, placed.dtype).reshape(placed.shape).copy()

    def call(self, name: str, *arguments: Placed | float) -> int:
        """Call a kernel with arrays in memory and numbers, and return its number.

        Raises:
            SketchpipeError: the kernel raised an exception.
        """
        passed: list[int | float] = []
        for kind, argument in zip(self._arguments[name], arguments, strict=True):
            if isinstance(argument, Placed):
                passed += [argument.address, *argument.shape]
            else:
                passed.append(float(argument) if kind.startswith("float") else int(argument))
        returned = int(self._functions[name](self._store, *passed))
        if returned == RAISED:
            raise SketchpipeError(f"the kernel {name} raised an exception")
        return returned
