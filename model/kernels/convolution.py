"""Kernels of 3x3 convolutions with padding: `y = conv(z, kernel)` with z = x, or z = relu(x * scale + shift).

Batch norm of an input is a scale and a shift of each channel, so that z need not be stored. The sums of y and of its
squares over a batch, of which the next batch norm is made, are outputs as well. Arrays are flat float32: images are
(B, H, W, C), C a multiple of `WIDTH`.

The work has phases, and a phase has shares, which may be done in any order and at the same time; a phase needs the
whole of the one before. Winograd's planes (`winograd.py`) of few channels are made and used up by a share, a chunk of
images at a time, so that they stay in the cache; those of many channels are made for the whole batch, and then each
share multiplies some of the 36 planes, because a kernel of many channels is read best once.
"""

from model.kernels.layout import Layout
from model.kernels.matmul import BLOCK, PANEL, multiply
from model.kernels.pixels import Source, clear, put_active, put_gradient, put_summed, take_gradient
from model.kernels.vectors import WIDTH, load, plain, store
from model.kernels.winograd import (
    OUT,
    PLANES,
    add_planes_to_inputs,
    inputs_to_planes,
    kernel_to_planes,
    outputs_to_planes,
    planes_to_kernel,
    planes_to_outputs,
)
from pipeline.arrays import Float32Array
from pipeline.jit import inner_kernel, merged_kernel


@inner_kernel
def _transform_kernel(
    kernel: Float32Array, rows: int, columns: int, transposed: int, first: int, end: int,
    scratch: Float32Array, at: int,
) -> None:  # fmt: skip
    """Transform a kernel to 36 packed matrices of `rows` x `columns`: the rows from `first` to `end`.

    The kernel is (3, 3, rows, columns), or (3, 3, columns, rows) if `transposed` is not 0; `at` has space for a tile.
    """
    for row in range(first, end):
        for column in range(0, columns, WIDTH):
            panel = column // PANEL * PANEL
            to = panel * rows + row * min(PANEL, columns - panel) + column - panel
            for tap in range(9):
                if transposed:
                    for lane in range(WIDTH):
                        scratch[at + tap * WIDTH + lane] = kernel[(tap * columns + column + lane) * rows + row]
                else:
                    store(scratch, at + tap * WIDTH, load(kernel, (tap * rows + row) * columns + column))
            kernel_to_planes(scratch, at, 3 * WIDTH, WIDTH, scratch, to, rows * columns)


@inner_kernel
def _make_input_planes(
    source: Source, layout: Layout, first: int, end: int, scratch: Float32Array, at: int, to: int
) -> None:
    """Write the planes of the images from `first` to `end`, from `to` on; `at` has space for an image with a border."""
    channels = layout.inputs
    x_row, z_row = layout.width * channels, (OUT * layout.across + 2) * channels
    clear(scratch, at, (OUT * layout.down + 2) * z_row)
    for image in range(first, end):
        put_active(
            source, image * layout.height * x_row, x_row, layout.height, layout.width, channels,
            scratch, at + z_row + channels, z_row,
        )  # fmt: skip
        for i in range(layout.down):
            for j in range(layout.across):
                corner = at + OUT * (i * z_row + j * channels)
                for c in range(0, channels, WIDTH):
                    inputs_to_planes(scratch, corner + c, z_row, channels, scratch, to + c, layout.v_plane)
                to += channels


@inner_kernel
def _take_outputs(
    scratch: Float32Array, m: int, layout: Layout, first: int, end: int, at: int,
    y: Float32Array, totals: Float32Array, total: int,
) -> None:  # fmt: skip
    """Make the outputs of the images from `first` to `end` of their planes, from `m` on, and add up their sums."""
    channels = layout.outputs
    y_row, z_row = layout.width * channels, OUT * layout.across * channels
    for image in range(first, end):
        for i in range(layout.down):
            for j in range(layout.across):
                corner = at + OUT * (i * z_row + j * channels)
                for c in range(0, channels, WIDTH):
                    planes_to_outputs(scratch, m + c, layout.m_plane, scratch, corner + c, z_row, channels)
                m += channels
        put_summed(
            scratch, at, z_row, layout.height, layout.width, channels,
            y, image * layout.height * y_row, y_row, totals, total,
        )  # fmt: skip


@inner_kernel
def _make_gradient_planes(
    y: Float32Array, gradient: Float32Array, added: Float32Array, factor: Float32Array, layout: Layout,
    first: int, end: int, scratch: Float32Array, at: int, to: int,
) -> None:  # fmt: skip
    """Write the planes of the outputs' gradient, from `to` on."""
    channels = layout.outputs
    y_row, z_row = layout.width * channels, OUT * layout.across * channels
    clear(scratch, at, OUT * layout.down * z_row)
    for image in range(first, end):
        put_gradient(
            y, gradient, image * layout.height * y_row, y_row, layout.height, layout.width, channels, added, factor,
            scratch, at, z_row,
        )  # fmt: skip
        for i in range(layout.down):
            for j in range(layout.across):
                corner = at + OUT * (i * z_row + j * channels)
                for c in range(0, channels, WIDTH):
                    outputs_to_planes(scratch, corner + c, z_row, channels, scratch, to + c, layout.m_plane)
                to += channels


@inner_kernel
def _take_input_gradient(
    scratch: Float32Array, d: int, layout: Layout, first: int, end: int, at: int, source: Source,
    dx: Float32Array, totals: Float32Array, total: int,
) -> None:  # fmt: skip
    """Make the gradient of x of its planes, from `d` on."""
    channels = layout.inputs
    x_row, z_row = layout.width * channels, (OUT * layout.across + 2) * channels
    for image in range(first, end):
        clear(scratch, at, (OUT * layout.down + 2) * z_row)
        for i in range(layout.down):
            for j in range(layout.across):
                corner = at + OUT * (i * z_row + j * channels)
                for c in range(0, channels, WIDTH):
                    add_planes_to_inputs(scratch, d + c, layout.v_plane, scratch, corner + c, z_row, channels)
                d += channels
        take_gradient(
            scratch, at + z_row + channels, z_row, source, image * layout.height * x_row, x_row,
            layout.height, layout.width, channels, dx, totals, total,
        )  # fmt: skip


@inner_kernel
def _make_kernel_gradient(
    scratch: Float32Array, sums: int, step: int, count: int, at: int, layout: Layout, d_kernel: Float32Array,
    first: int, end: int,
) -> None:  # fmt: skip
    """The kernel's gradient of the input channels from `first` to `end`, of `count` sums of planes, `step` apart."""
    columns = layout.outputs
    size = layout.inputs * columns
    for row in range(first, end):
        for column in range(0, columns, WIDTH):
            place = row * columns + column
            for k in range(PLANES):
                total = load(scratch, sums + k * size + place)
                for other in range(1, count):
                    total = total + load(scratch, sums + other * step + k * size + place)
                store(scratch, at + k * WIDTH, total)
            planes_to_kernel(scratch, at, WIDTH, d_kernel, place, 3 * size, size)


@inner_kernel
def _multiply_planes(scratch: Float32Array, layout: Layout, v: int, m: int, first: int, end: int, tiles: int) -> None:
    """The planes of outputs, from `m` on, of those of inputs: the planes from `first` to `end`."""
    inputs, outputs = layout.inputs, layout.outputs
    for k in range(first, end):
        multiply(
            scratch, v + k * layout.v_plane, inputs, plain(1), scratch, k * inputs * outputs, plain(0),
            scratch, m + k * layout.m_plane, outputs, tiles, outputs, inputs, plain(0),
        )  # fmt: skip


@inner_kernel
def _multiply_gradient_planes(
    scratch: Float32Array, layout: Layout, v: int, d: int, m: int, sums: int, first: int, end: int, tiles: int,
    adding: int,
) -> None:  # fmt: skip
    """The planes of the inputs' gradient and of the kernel's: the planes from `first` to `end`."""
    inputs, outputs = layout.inputs, layout.outputs
    for k in range(first, end):
        m_at, v_at, size = m + k * layout.m_plane, v + k * layout.v_plane, inputs * outputs
        multiply(
            scratch, m_at, outputs, plain(1), scratch, k * size, plain(0),
            scratch, d + k * layout.v_plane, inputs, tiles, inputs, outputs, plain(0),
        )  # fmt: skip
        for tile in range(0, tiles, BLOCK):
            multiply(
                scratch, v_at + tile * inputs, plain(1), inputs, scratch, m_at + tile * outputs, outputs,
                scratch, sums + k * size, outputs, inputs, outputs, min(BLOCK, tiles - tile), adding or tile > 0,
            )  # fmt: skip


@merged_kernel
def forward_share(
    phase: int, source: Source, kernel: Float32Array, y: Float32Array, totals: Float32Array, scratch: Float32Array,
    layout: Layout, share: int, shares: int,
) -> None:  # fmt: skip
    """A share of a phase of the forward pass; `totals` is (shares, 2, outputs), the sums of each share's outputs.

    Phase 0 transforms the kernel, 1 the inputs, 2 multiplies planes, 3 transforms the outputs; by chunks, 1 does all.
    """
    inputs, outputs = layout.inputs, layout.outputs
    at, total = layout.own + share * layout.own_size, share * 2 * outputs
    first, end = layout.batch * share // shares, layout.batch * (share + 1) // shares
    tiles = layout.down * layout.across
    v, m, step = layout.v, layout.m, end - first
    if layout.chunk > 0:
        v, m, step = at + v, at + m, layout.chunk
    else:
        v, m = v + first * tiles * inputs, m + first * tiles * outputs
    if phase == 0:
        clear(totals, total, 2 * outputs)
        rows, stop = inputs * share // shares, inputs * (share + 1) // shares
        _transform_kernel(kernel, inputs, outputs, plain(0), rows, stop, scratch, at)
    elif phase == 2:
        if layout.chunk == 0:
            planes, stop = PLANES * share // shares, PLANES * (share + 1) // shares
            _multiply_planes(scratch, layout, layout.v, layout.m, planes, stop, layout.batch * tiles)
    else:
        for start in range(first, end, max(1, step)):
            stop = min(start + step, end)
            if phase == 1:
                _make_input_planes(source, layout, start, stop, scratch, at, v)
                if layout.chunk > 0:
                    _multiply_planes(scratch, layout, v, m, plain(0), plain(PLANES), (stop - start) * tiles)
            if (phase == 1) == (layout.chunk > 0):
                _take_outputs(scratch, m, layout, start, stop, at, y, totals, total)


@merged_kernel
def backward_share(
    phase: int, source: Source, kernel: Float32Array, y: Float32Array, gradient: Float32Array,
    added: Float32Array, factor: Float32Array, dx: Float32Array, totals: Float32Array, d_kernel: Float32Array,
    scratch: Float32Array, layout: Layout, share: int, shares: int,
) -> None:  # fmt: skip
    """A share of a phase of the backward pass: the gradients of x, scale, shift and kernel.

    The gradient of an output is `gradient + added + factor * y`; `totals` is (shares, 2, inputs), the gradients of
    scale and shift. Phase 0 transforms the kernel, 1 inputs and gradients, 2 multiplies planes, 3 transforms the
    gradients of inputs and kernel; by chunks, 1 does all but the kernel's.
    """
    inputs, outputs = layout.inputs, layout.outputs
    at, total = layout.own + share * layout.own_size, share * 2 * inputs
    first, end = layout.batch * share // shares, layout.batch * (share + 1) // shares
    tiles = layout.down * layout.across
    v, d, m, sums, step, count = layout.v, layout.d, layout.m, layout.sums, end - first, 1
    if layout.chunk > 0:
        v, d, m, sums, step, count = at + v, at + d, at + m, at + sums, layout.chunk, shares
    else:
        v, d, m = v + first * tiles * inputs, d + first * tiles * inputs, m + first * tiles * outputs
    if phase == 0:
        clear(totals, total, 2 * inputs)
        clear(scratch, sums, PLANES * inputs * outputs * (layout.chunk > 0))
        rows, stop = outputs * share // shares, outputs * (share + 1) // shares
        _transform_kernel(kernel, outputs, inputs, plain(1), rows, stop, scratch, at)
    elif phase == 2:
        if layout.chunk == 0:
            planes, stop = PLANES * share // shares, PLANES * (share + 1) // shares
            _multiply_gradient_planes(
                scratch, layout, layout.v, layout.d, layout.m, sums, planes, stop, layout.batch * tiles, plain(0)
            )
    else:
        for start in range(first, end, max(1, step)):
            stop = min(start + step, end)
            if phase == 1:
                _make_gradient_planes(y, gradient, added, factor, layout, start, stop, scratch, at, m)
                _make_input_planes(source, layout, start, stop, scratch, at, v)
                if layout.chunk > 0:
                    _multiply_gradient_planes(
                        scratch, layout, v, d, m, sums, plain(0), plain(PLANES), (stop - start) * tiles, plain(1)
                    )
            if (phase == 1) == (layout.chunk > 0):
                _take_input_gradient(scratch, d, layout, start, stop, at, source, dx, totals, total)
        if phase == 3:
            rows, stop = inputs * share // shares, inputs * (share + 1) // shares
            first_sums = layout.own + layout.sums if layout.chunk > 0 else layout.sums
            _make_kernel_gradient(scratch, first_sums, layout.own_size, count, at, layout, d_kernel, rows, stop)
