"""Makes a module that a browser runs of an object file of WebAssembly, without a linker.

An object file whose functions call only each other is a module but for its list of exports. Its indices of functions
and of the one global, the stack's pointer, are those of the module; an object with data, or with addresses that a
linker would have to fill in, is refused.

Format: https://webassembly.github.io/spec/core/binary and
https://github.com/WebAssembly/tool-conventions/blob/main/Linking.md
"""

from collections.abc import Iterator, Sequence

from pipeline.browser.kernels import STACK
from pipeline.errors import SketchpipeError

_CUSTOM, _IMPORTS, _EXPORTS = 0, 2, 7  # ids of sections
_ORDER = (1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11)  # of the sections of a module, by their ids
_DATA, _ELEMENTS = 11, 9
_SYMBOL_TABLE = 8  # the subsection of the section "linking" that names functions
_FUNCTION, _DATA_SYMBOL, _SECTION_SYMBOL = 0, 1, 3
_UNDEFINED, _EXPLICIT_NAME = 0x10, 0x40  # flags of a symbol
_MEMORY, _GLOBAL = 2, 3  # kinds of imports
_HARMLESS = {0, 6, 7}  # relocations whose value in an object is that of the module: of functions, types and globals


def module_of(content: bytes, names: Sequence[str]) -> bytes:
    """The module of an object file, which exports the functions called `names`.

    Raises:
        SketchpipeError: a linker would have more to do.
    """
    sections = list(_sections(content))
    functions: dict[str, int] = {}
    for identity, body in sections:
        if identity in (_DATA, _ELEMENTS):
            raise SketchpipeError("a kernel has constant data, which is not supported: let its caller pass an array")
        if identity == _IMPORTS:
            _check_imports(body)
        elif identity == _CUSTOM:
            name, at = _name(body, 0)
            if name.startswith("reloc."):
                _check_relocations(body, at)
            elif name == "linking":
                functions |= _functions(body, at)
    entries = b"".join(_vector(name.encode()) + b"\0" + _unsigned(functions[name]) for name in names)
    kept = [(identity, body) for identity, body in sections if identity != _CUSTOM]
    kept.append((_EXPORTS, _unsigned(len(names)) + entries))
    kept.sort(key=lambda section: _ORDER.index(section[0]))
    return content[:8] + b"".join(bytes([identity]) + _vector(body) for identity, body in kept)


def _sections(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = 8  # behind the magic number and the version
    while at < len(content):
        size, start = _read(content, at + 1)
        yield content[at], content[start : start + size]
        at = start + size


def _check_imports(body: bytes) -> None:
    """Refuse an import of anything but memory and the stack's pointer."""
    count, at = _read(body, 0)
    for _ in range(count):
        _, at = _name(body, at)
        name, at = _name(body, at)
        if body[at] == _GLOBAL and name == STACK[1]:
            at += 3  # the kind, the type, and whether it can be changed
            continue
        if body[at] != _MEMORY:
            raise SketchpipeError(f"a kernel calls or uses {name}, which WebAssembly does not have: do without it")
        has_most, at = _read(body, at + 1)
        for _ in range(1 + (has_most & 1)):
            _, at = _read(body, at)


def _check_relocations(body: bytes, at: int) -> None:
    """Refuse a relocation that changes a value."""
    _, at = _read(body, at)
    count, at = _read(body, at)
    for _ in range(count):
        kind = body[at]
        if kind not in _HARMLESS:
            raise SketchpipeError(
                f"a kernel needs a linker for its machine code (relocation {kind}), probably for memory of its own: "
                "let its caller pass an array"
            )
        _, at = _read(body, at + 1)
        _, at = _read(body, at)


def _functions(body: bytes, at: int) -> dict[str, int]:
    """The index of each function that the object defines, by its name."""
    found = {}
    _, at = _read(body, at)  # the version
    while at < len(body):
        kind = body[at]
        size, at = _read(body, at + 1)
        if kind == _SYMBOL_TABLE:
            found = dict(_symbols(body, at))
        at += size
    return found


def _symbols(body: bytes, at: int) -> Iterator[tuple[str, int]]:
    count, at = _read(body, at)
    for _ in range(count):
        kind = body[at]
        flags, at = _read(body, at + 1)
        is_defined = not flags & _UNDEFINED
        if kind == _DATA_SYMBOL:
            _, at = _name(body, at)
            for _ in range(3 if is_defined else 0):
                _, at = _read(body, at)
        elif kind == _SECTION_SYMBOL:
            _, at = _read(body, at)
        else:
            index, at = _read(body, at)
            if is_defined or flags & _EXPLICIT_NAME:
                name, at = _name(body, at)
                if kind == _FUNCTION and is_defined:
                    yield name, index


def _read(content: bytes, at: int) -> tuple[int, int]:
    """An unsigned number in LEB128, and where it ends."""
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _name(content: bytes, at: int) -> tuple[str, int]:
    size, at = _read(content, at)
    return content[at : at + size].decode(), at + size


def _unsigned(value: int) -> bytes:
    """A number in LEB128."""
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])


def _vector(content: bytes) -> bytes:
    return _unsigned(len(content)) + content
