"""The product of matrices in flat float32 arrays: tiles of 6 rows x 2 vectors, whose sums stay in registers.

8 sums would keep the two multipliers of a core busy, which know a sum after 4 cycles; 12 also keep them busy while a
factor is late, and leave 4 of 16 registers for factors.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from model.kernels.vectors import (
    ARRAY,
    VECTOR,
    WIDTH,
    ZEROS,
    copied,
    copies_of,
    load,
    loaded,
    multiplied_added,
    multiply_add,
    number,
    store,
    stored,
    zeros,
)
from pipeline.arrays import Float32Array
from pipeline.jit import inner_kernel
from pipeline.rendering.simd import compile_as

PANEL = 2 * WIDTH  # columns of a packed panel
BLOCK = 64  # terms of a product at a time whose factors lie in rows far apart, so that they stay in the fastest cache


def tile_of_6_by_2(*tile: Any) -> None:
    """Multiply a tile of 6 rows of a and 2 vectors of a row of c; the arguments are the first twelve of `_tile`."""
    _tile(*tile, rows=6, vectors=2)


def tile_of_4_by_2(*tile: Any) -> None:
    """As `tile_of_6_by_2`."""
    _tile(*tile, rows=4, vectors=2)


def tile_of_8_by_1(*tile: Any) -> None:
    """As `tile_of_6_by_2`."""
    _tile(*tile, rows=8, vectors=1)


def tile_of_4_by_1(*tile: Any) -> None:
    """As `tile_of_6_by_2`."""
    _tile(*tile, rows=4, vectors=1)


def tile_of_1_by_2(*tile: Any) -> None:
    """As `tile_of_6_by_2`."""
    _tile(*tile, rows=1, vectors=2)


def tile_of_1_by_1(*tile: Any) -> None:
    """As `tile_of_6_by_2`."""
    _tile(*tile, rows=1, vectors=1)


@inner_kernel
def multiply(
    a: Float32Array, a_start: int, a_row: int, a_term: int,
    b: Float32Array, b_start: int, b_term: int,
    c: Float32Array, c_start: int, c_row: int,
    rows: int, columns: int, terms: int, adding: int,
) -> None:  # fmt: skip
    """Let c[i, j] be the sum of a[i, k] * b[k, j] over `terms` k, or add it; `columns` is a multiple of `WIDTH`.

    a[i, k] is at `a_start + i * a_row + k * a_term`, and c[i, j] at `c_start + i * c_row + j`. b[k, j] is at
    `b_start + k * b_term + j`; with a `b_term` of 0, b is packed in panels of `PANEL` columns, the last of which may
    have `WIDTH`: each holds its columns of row 0, then those of row 1, and so on.
    """
    for j in range(0, columns, PANEL):
        is_wide = columns - j >= PANEL
        b_at, b_step = b_start + j, b_term
        if b_term == 0:
            b_at, b_step = b_start + j * terms, PANEL if is_wide else WIDTH
        i = 0
        while i < rows:
            a_at, c_at, left = a_start + i * a_row, c_start + i * c_row + j, rows - i
            if left >= 6 and is_wide:
                tile_of_6_by_2(a, a_at, a_row, a_term, b, b_at, b_step, c, c_at, c_row, terms, adding)
                i += 6
            elif left >= 4 and is_wide:
                tile_of_4_by_2(a, a_at, a_row, a_term, b, b_at, b_step, c, c_at, c_row, terms, adding)
                i += 4
            elif is_wide:
                tile_of_1_by_2(a, a_at, a_row, a_term, b, b_at, b_step, c, c_at, c_row, terms, adding)
                i += 1
            elif left >= 8:
                tile_of_8_by_1(a, a_at, a_row, a_term, b, b_at, b_step, c, c_at, c_row, terms, adding)
                i += 8
            elif left >= 4:
                tile_of_4_by_1(a, a_at, a_row, a_term, b, b_at, b_step, c, c_at, c_row, terms, adding)
                i += 4
            else:
                tile_of_1_by_1(a, a_at, a_row, a_term, b, b_at, b_step, c, c_at, c_row, terms, adding)
                i += 1


def _tile(
    a: Float32Array, a_at: int, a_row: int, a_term: int, b: Float32Array, b_at: int, b_term: int,
    c: Float32Array, c_at: int, c_row: int, terms: int, adding: int, *, rows: int, vectors: int,
) -> None:  # fmt: skip
    """C = a b for a tile, or c += a b if `adding` is not 0; places and steps are those of `multiply`."""
    for i in range(rows):
        for v in range(vectors):
            at = c_at + i * c_row + v * WIDTH
            total = load(c, at) if adding else zeros()
            for k in range(terms):
                row = load(b, b_at + k * b_term + v * WIDTH)
                total = multiply_add(copies_of(a, a_at + i * a_row + k * a_term), row, total)
            store(c, at, total)


def _emit_tile(rows: int, vectors: int) -> Callable[[Any, Any], None]:
    def code(builder: Any, args: Any) -> None:
        a, a_at, a_row, a_term, b, b_at, b_term, c, c_at, c_row, terms, adding = args
        is_adding = builder.icmp_signed("!=", adding, ir.Constant(adding.type, 0))
        sums = [[cgutils.alloca_once(builder, VECTOR) for _ in range(vectors)] for _ in range(rows)]
        for i, line in enumerate(sums):
            for v, total in enumerate(line):
                before = loaded(builder, c, c_at, (c_row, i), (number(WIDTH), v))
                builder.store(builder.select(is_adding, before, ZEROS), total)
        a_next, b_next = cgutils.alloca_once_value(builder, a_at), cgutils.alloca_once_value(builder, b_at)
        with cgutils.for_range(builder, terms):
            a_place, b_place = builder.load(a_next), builder.load(b_next)
            row = [loaded(builder, b, b_place, (number(WIDTH), v)) for v in range(vectors)]
            for i, line in enumerate(sums):
                place = builder.add(a_place, builder.mul(a_row, number(i)))
                value = copied(builder, [builder.load(builder.gep(a, [place]))])
                for v, total in enumerate(line):
                    builder.store(multiplied_added(builder, [value, row[v], builder.load(total)]), total)
            builder.store(builder.add(a_place, a_term), a_next)
            builder.store(builder.add(b_place, b_term), b_next)
        for i, line in enumerate(sums):
            for v, total in enumerate(line):
                stored(builder, builder.load(total), c, c_at, (c_row, i), (number(WIDTH), v))

    return code


_TILE = (types.void, ARRAY, *[types.int64] * 3, ARRAY, *[types.int64] * 2, ARRAY, *[types.int64] * 4)
compile_as(tile_of_6_by_2, *_TILE, code=_emit_tile(6, 2))
compile_as(tile_of_4_by_2, *_TILE, code=_emit_tile(4, 2))
compile_as(tile_of_8_by_1, *_TILE, code=_emit_tile(8, 1))
compile_as(tile_of_4_by_1, *_TILE, code=_emit_tile(4, 1))
compile_as(tile_of_1_by_2, *_TILE, code=_emit_tile(1, 2))
compile_as(tile_of_1_by_1, *_TILE, code=_emit_tile(1, 1))
