"""The kernels of `model.kernels` as native functions of a call frame: each runs a share of a phase.

The second argument holds both numbers, the phase in its upper half. XLA's frame (xla/ffi/api/c_api.h, version 0.3) has
the buffers of arguments and results, and the plan (`plan.py`) as its only attribute.
"""

from model.compute.native.memory import bytes_at, floats_at, read
from model.compute.native.plan import SHARE_COUNT, SIZES
from model.kernels import convolution, first, join, pointwise, rows
from model.kernels.first import Layer
from model.kernels.layout import Layout
from model.kernels.pixels import Source
from model.kernels.rows import Shape
from pipeline.jit import formula, inlined_kernel, inner_kernel, kernel

FRAME_ARGUMENTS, FRAME_RESULTS, FRAME_ATTRIBUTES = 72, 112, 160  # offsets in XLA's structs, in bytes
BUFFER_DATA, ARRAY_DATA = 24, 16
SHARE_BITS = 32


@inner_kernel
def plan_at(frame: int) -> int:
    """The address of a frame's plan."""
    return read(read(read(frame + FRAME_ATTRIBUTES)) + ARRAY_DATA)


@inner_kernel
def _argument(frame: int, index: int) -> int:
    """The address of the numbers of an argument."""
    return read(read(read(frame + FRAME_ARGUMENTS) + 8 * index) + BUFFER_DATA)


@inner_kernel
def _result(frame: int, index: int) -> int:
    return read(read(read(frame + FRAME_RESULTS) + 8 * index) + BUFFER_DATA)


@inner_kernel
def _size(frame: int, index: int) -> int:
    """A number of the plan's sizes."""
    return read(plan_at(frame) + 8 * (SIZES + index))


@inner_kernel
def _shares(frame: int) -> int:
    return read(plan_at(frame) + 8 * SHARE_COUNT)


@formula
def _share(part: int) -> int:
    return part & (1 << SHARE_BITS) - 1


@formula
def _phase(part: int) -> int:
    return part >> SHARE_BITS


@inlined_kernel
def _layout(frame: int) -> Layout:
    return Layout(
        _size(frame, 0), _size(frame, 1), _size(frame, 2), _size(frame, 3), _size(frame, 4), _size(frame, 5),
        _size(frame, 6), _size(frame, 7), _size(frame, 8), _size(frame, 9), _size(frame, 10), _size(frame, 11),
        _size(frame, 12), _size(frame, 13), _size(frame, 14), _size(frame, 15), _size(frame, 16),
    )  # fmt: skip


@inlined_kernel
def _layer(frame: int) -> Layer:
    return Layer(
        _size(frame, 1), _size(frame, 2), _size(frame, 3), _size(frame, 4), _size(frame, 5), _size(frame, 6),
        _size(frame, 7), _size(frame, 8), _size(frame, 9),
    )  # fmt: skip


@inlined_kernel
def _shape(frame: int) -> Shape:
    return Shape(
        _size(frame, 0), _size(frame, 1), _size(frame, 2), _size(frame, 3), _size(frame, 4), _size(frame, 5),
        _size(frame, 6), _size(frame, 7),
    )  # fmt: skip


@inlined_kernel
def _source(frame: int, active: int) -> Source:
    """The first three arguments."""
    return Source(
        floats_at(_argument(frame, 0)), floats_at(_argument(frame, 1)), floats_at(_argument(frame, 2)), active
    )


@kernel
def convolution_forward(frame: int, part: int) -> int:
    """x, scale, shift, kernel to y, sums; scratch."""
    layout = _layout(frame)
    convolution.forward_share(
        _phase(part), _source(frame, layout.active), floats_at(_argument(frame, 3)), floats_at(_result(frame, 0)),
        floats_at(_result(frame, 1)), floats_at(_result(frame, 2)), layout, _share(part), _shares(frame),
    )  # fmt: skip
    return 0


@kernel
def convolution_backward(frame: int, part: int) -> int:
    """x, scale, shift, kernel, y, gradient, added, factor to the gradients of x, of scale and shift, of kernel."""
    layout = _layout(frame)
    convolution.backward_share(
        _phase(part), _source(frame, layout.active), floats_at(_argument(frame, 3)), floats_at(_argument(frame, 4)),
        floats_at(_argument(frame, 5)), floats_at(_argument(frame, 6)), floats_at(_argument(frame, 7)),
        floats_at(_result(frame, 0)), floats_at(_result(frame, 1)), floats_at(_result(frame, 2)),
        floats_at(_result(frame, 3)), layout, _share(part), _shares(frame),
    )  # fmt: skip
    return 0


@kernel
def pointwise_forward(frame: int, part: int) -> int:
    """x, scale, shift, kernel to y, sums; scratch."""
    pointwise.forward_share(
        _phase(part), _source(frame, _size(frame, 3)), floats_at(_argument(frame, 3)), floats_at(_result(frame, 0)),
        floats_at(_result(frame, 1)), floats_at(_result(frame, 2)), _size(frame, 0), _size(frame, 1), _size(frame, 2),
        _share(part), _shares(frame),
    )  # fmt: skip
    return 0


@kernel
def pointwise_backward(frame: int, part: int) -> int:
    """x, scale, shift, kernel, y, gradient, added, factor to the gradients of x, of scale and shift, of kernel."""
    pointwise.backward_share(
        _phase(part), _source(frame, _size(frame, 3)), floats_at(_argument(frame, 3)), floats_at(_argument(frame, 4)),
        floats_at(_argument(frame, 5)), floats_at(_argument(frame, 6)), floats_at(_argument(frame, 7)),
        floats_at(_result(frame, 0)), floats_at(_result(frame, 1)), floats_at(_result(frame, 2)),
        floats_at(_result(frame, 3)), _size(frame, 0), _size(frame, 1), _size(frame, 2), _share(part), _shares(frame),
    )  # fmt: skip
    return 0


@kernel
def join_forward(frame: int, part: int) -> int:
    """a, a_scale, a_shift, b, b_scale, b_shift to y."""
    batch, share, shares = _size(frame, 0), _share(part), _shares(frame)
    join.forward_share(
        floats_at(_argument(frame, 0)), floats_at(_argument(frame, 1)), floats_at(_argument(frame, 2)),
        floats_at(_argument(frame, 3)), floats_at(_argument(frame, 4)), floats_at(_argument(frame, 5)),
        floats_at(_result(frame, 0)), _size(frame, 1), _size(frame, 2), _size(frame, 3), _size(frame, 4) != 0,
        _size(frame, 5) != 0, batch * share // shares, batch * (share + 1) // shares,
    )  # fmt: skip
    return 0


@kernel
def join_backward(frame: int, part: int) -> int:
    """a, a_scale, a_shift, b, b_scale, b_shift, gradient to the gradients of a, b, and of scales and shift."""
    batch, channels, share, shares = _size(frame, 0), _size(frame, 3), _share(part), _shares(frame)
    join.backward_share(
        floats_at(_argument(frame, 0)), floats_at(_argument(frame, 1)), floats_at(_argument(frame, 2)),
        floats_at(_argument(frame, 3)), floats_at(_argument(frame, 4)), floats_at(_argument(frame, 5)),
        floats_at(_argument(frame, 6)), floats_at(_result(frame, 0)), floats_at(_result(frame, 1)),
        floats_at(_result(frame, 2)), share * 3 * channels, _size(frame, 1), _size(frame, 2), channels,
        _size(frame, 4) != 0, _size(frame, 5) != 0, batch * share // shares, batch * (share + 1) // shares,
    )  # fmt: skip
    return 0


@kernel
def first_forward(frame: int, part: int) -> int:
    """images, kernel to y, winners, sums; scratch."""
    first.forward_share(
        _phase(part), bytes_at(_argument(frame, 0)), floats_at(_argument(frame, 1)), floats_at(_result(frame, 0)),
        floats_at(_result(frame, 1)), floats_at(_result(frame, 2)), floats_at(_result(frame, 3)), _layer(frame),
        _size(frame, 0), _share(part), _shares(frame),
    )  # fmt: skip
    return 0


@kernel
def first_backward(frame: int, part: int) -> int:
    """images, y, winners, gradient, added, factor to the gradient of the kernel; scratch."""
    first.backward_share(
        _phase(part), bytes_at(_argument(frame, 0)), floats_at(_argument(frame, 1)), floats_at(_argument(frame, 2)),
        floats_at(_argument(frame, 3)), floats_at(_argument(frame, 4)), floats_at(_argument(frame, 5)),
        floats_at(_result(frame, 0)), floats_at(_result(frame, 1)), _layer(frame), _size(frame, 0), _share(part),
        _shares(frame),
    )  # fmt: skip
    return 0


@kernel
def rows_forward(frame: int, part: int) -> int:
    """x, scale, shift, kernel to y; scratch."""
    shape = _shape(frame)
    rows.forward_share(
        _source(frame, shape.active), floats_at(_argument(frame, 3)), floats_at(_result(frame, 0)),
        floats_at(_result(frame, 1)), shape, _share(part), _shares(frame),
    )  # fmt: skip
    return 0


@kernel
def rows_backward(frame: int, part: int) -> int:
    """x, scale, shift, kernel, gradient to the gradients of x, of scale and shift, of kernel; scratch."""
    shape = _shape(frame)
    rows.backward_share(
        _phase(part), _source(frame, shape.active), floats_at(_argument(frame, 3)), floats_at(_argument(frame, 4)),
        floats_at(_result(frame, 0)), floats_at(_result(frame, 1)), floats_at(_result(frame, 2)),
        floats_at(_result(frame, 3)), shape, _share(part), _shares(frame),
    )  # fmt: skip
    return 0


OPERATIONS = (
    convolution_forward,
    convolution_backward,
    pointwise_forward,
    pointwise_backward,
    join_forward,
    join_backward,
    first_forward,
    first_backward,
    rows_forward,
    rows_backward,
)  # in the order of `plan.Kernel`
