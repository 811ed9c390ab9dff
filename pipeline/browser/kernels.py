"""What is compiled: kernels, with the types of their arguments, and their names in the module. Imports no numba."""

from dataclasses import dataclass

MEMORY = ("env", "__linear_memory")  # the name of what every module imports: its memory, in pages of 64 KiB
STACK = ("env", "__stack_pointer")  # what a module also imports whose functions need a stack: where it begins, an int32
STACK_BYTES = 1 << 16  # the stack grows down to address 0 from here, where a caller's arrays begin
RAISED = -(1 << 31)  # what a kernel returns in place of an exception, which none should raise


@dataclass(frozen=True)
class Exported:
    """A kernel of a module.

    A module's function takes 32-bit integers and floats: for each array its address and its length on each axis; for
    each other argument its value. It returns the kernel's integer, 0 if the kernel returns nothing, or `RAISED`.

    Attributes:
        name: what it is called in the module.
        module: the Python module that defines the kernel.
        function: the kernel's name there.
        arguments: the type of each argument, by NumPy's names: "float32[]" and "uint8[,]" are C-contiguous arrays of
            one and two axes, "int64", "float32", "float64" and "bool" are numbers.
    """

    name: str
    module: str
    function: str
    arguments: tuple[str, ...]

    @property
    def place(self) -> str:
        """Where the kernel is defined, for messages."""
        return f"{self.module}.{self.function}"
