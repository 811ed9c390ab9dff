"""How a 3x3 convolution lies in memory: its tiles, and where its intermediate numbers are. No kernels."""

from typing import NamedTuple

from model.kernels.winograd import OUT, PLANES

SKEW = 16  # floats added to a plane, so that the planes of a tile do not compete for the same lines of the cache
CHUNK = 49152  # floats of the planes of a chunk; at most twice as many lie in a second-level cache of 512 KiB


class Layout(NamedTuple):
    """The shape of a convolution, and where its intermediate numbers lie in scratch.

    Attributes:
        batch, height, width, inputs, outputs: images, their size, and the channels of inputs and outputs.
        active: 1 if z is relu(x * scale + shift), 0 if it is x.
        down, across: the tiles that cover the height and the width of an image.
        chunk: the images whose planes a share makes at a time; 0 if planes are made for the whole batch.
        v, d, m: where planes of inputs, of their gradients and of outputs begin: in a share's own part of scratch if
            they are made by chunks.
        v_plane, m_plane: the numbers from one plane to the next, of inputs and of outputs.
        sums: where the planes of the kernel's gradient begin, in a share's own part if planes are made by chunks.
        own: where the first share's own part begins: an image with a border, and behind it planes.
        own_size: its numbers.
    """

    batch: int
    height: int
    width: int
    inputs: int
    outputs: int
    active: int
    down: int
    across: int
    chunk: int
    v: int
    d: int
    m: int
    v_plane: int
    m_plane: int
    sums: int
    own: int
    own_size: int


def layout_of(batch: int, height: int, width: int, inputs: int, outputs: int, active: bool, shares: int) -> Layout:
    """Lay a convolution out for a number of shares. A transformed kernel is at the beginning of scratch."""
    down, across = -(-height // OUT), -(-width // OUT)
    tiles, size = down * across, PLANES * inputs * outputs
    border = (OUT * down + 2) * (OUT * across + 2) * max(inputs, outputs)
    chunked = size <= CHUNK
    chunk = max(1, min(-(-batch // shares), CHUNK // (PLANES * tiles * (inputs + outputs)))) if chunked else 0
    images = chunk or batch
    v_plane, m_plane = images * tiles * inputs + SKEW, images * tiles * outputs + SKEW
    sums = border if chunked else size
    v = sums + size
    d = v + PLANES * v_plane
    m = d + PLANES * v_plane
    end = m + PLANES * m_plane
    own, own_size = (size, end) if chunked else (end, border)
    return Layout(
        batch, height, width, inputs, outputs, int(active), down, across, chunk, v, d, m, v_plane, m_plane, sums,
        own, own_size,
    )  # fmt: skip


def scratch_floats(layout: Layout, shares: int) -> int:
    """The floats of scratch that a convolution needs, in either direction."""
    return layout.own + shares * layout.own_size
