"""The one native function that XLA calls for the kernels of `model.kernels`, and its calls of them.

XLA gives it the address of a call frame (xla/ffi/api/c_api.h, version 0.3): the buffers of arguments and results, and
the plan (`plan.py`). The function divides the work into shares, whose number is part of the plan, so that results do
not depend on the number of cores; XLA's own threads help with them.

A call takes a slot of a table in static memory, and in it publishes one phase after the other; a thread claims a share
by raising the slot's counter. A thread that comes late finds a counter of another generation and leaves it alone: the
table outlives every call, and a slot is in use until all of its shares are done.
"""

from model.compute.native.memory import (
    add_atomically,
    call_native,
    call_operation,
    exchange,
    read,
    read_atomically,
    read_short,
    replace_atomically,
    static_memory,
    write,
    write_short,
    yield_thread,
)
from model.compute.native.operations import SHARE_BITS, plan_at
from model.compute.native.plan import PHASE_COUNT, SHARE_COUNT
from pipeline.jit import inner_kernel, kernel

# Offsets in XLA's structs, in bytes.
_FRAME_EXTENSION, _FRAME_API, _FRAME_CONTEXT, _FRAME_STAGE = 8, 16, 24, 32
_EXTENSION_TYPE, _EXTENSION_METADATA = 8, 24
_METADATA_VERSION, _METADATA_TRAITS, _METADATA_STATE = 24, 32, 40
_API_SCHEDULE = 136
_OUR_VERSION = 3 << 32  # major 0, minor 3
_METADATA, _EXECUTE = 1, 3  # an extension's type, a stage

# The table: two settings, the addresses of the operations, and slots.
OWN_ADDRESS, HELPERS, FIRST_OPERATION = 0, 1, 2  # the places of the settings, as numbers of 64 bits
_FIRST_SLOT, _SLOT, _SLOTS = 128, 128, 64
_IN_USE, _CLAIMS, _DONE, _FRAME, _PHASE, _REQUEST = 0, 8, 16, 24, 32, 64  # offsets in a slot
# A slot's claims: its generation, the number of shares, the next share. A ticket: generation, slot, and a 1.
_GENERATION, _COUNT, _NUMBER = 32, 16, 0xFFFF


@inner_kernel
def _run_shares(table: int, slot: int, generation: int) -> None:
    """Run shares of the phase of that generation, as long as there is one that nobody has claimed."""
    while True:
        claims = read_atomically(slot + _CLAIMS)
        share = claims & _NUMBER
        if claims >> _GENERATION != generation or share >= (claims >> _COUNT) & _NUMBER:
            return
        if replace_atomically(slot + _CLAIMS, claims, claims + 1) == claims:
            frame = read(slot + _FRAME)
            operation = read(table + 8 * (FIRST_OPERATION + read(plan_at(frame))))
            call_operation(operation, frame, read(slot + _PHASE) << SHARE_BITS | share)
            add_atomically(slot + _DONE, 1)


@inner_kernel
def _run_phase(table: int, slot: int, index: int, frame: int, phase: int, shares: int) -> None:
    generation = (read_atomically(slot + _CLAIMS) >> _GENERATION) + 1 & 0x7FFFFFFF
    write(slot + _FRAME, frame)
    write(slot + _PHASE, phase)
    exchange(slot + _DONE, 0)
    exchange(slot + _CLAIMS, generation << _GENERATION | shares << _COUNT)
    request = slot + _REQUEST  # XLA_FFI_ThreadPool_Schedule_Args
    write(request, 40)
    write(request + 8, 0)
    write(request + 16, read(frame + _FRAME_CONTEXT))
    write(request + 24, read(table + 8 * OWN_ADDRESS))
    write(request + 32, generation << _GENERATION | index << 1 | 1)
    for _ in range(min(read(table + 8 * HELPERS), shares - 1)):
        call_native(read(read(frame + _FRAME_API) + _API_SCHEDULE), request)
    _run_shares(table, slot, generation)
    while read_atomically(slot + _DONE) < shares:
        yield_thread()


@inner_kernel
def _run(table: int, frame: int) -> None:
    index = 0
    while replace_atomically(table + _FIRST_SLOT + index * _SLOT + _IN_USE, 0, 1) != 0:
        index = (index + 1) % _SLOTS
        if index == 0:
            yield_thread()
    slot = table + _FIRST_SLOT + index * _SLOT
    plan = plan_at(frame)
    for phase in range(read(plan + 8 * PHASE_COUNT)):
        _run_phase(table, slot, index, frame, phase, read(plan + 8 * SHARE_COUNT))
    exchange(slot + _IN_USE, 0)


@kernel
def run_frame(address: int) -> int:
    """Run the kernel of a call frame at an address.

    An odd number is the ticket of a thread that helps. A negative number is a setting, made before anything is run:
    the last eight bits of its opposite are the place of a number in the table, the others the number.

    Returns:
        0, which means no error.
    """
    table = static_memory()
    if address < 0:
        write(table + 8 * (-address & 0xFF), -address >> 8)
        return 0
    if address & 1:
        index = (address & 0xFFFF) >> 1
        _run_shares(table, table + _FIRST_SLOT + index * _SLOT, address >> _GENERATION)
        return 0
    extension = read(address + _FRAME_EXTENSION)
    if extension != 0 and read_short(extension + _EXTENSION_TYPE) == _METADATA:
        metadata = read(extension + _EXTENSION_METADATA)
        write(metadata + _METADATA_VERSION, _OUR_VERSION)
        write_short(metadata + _METADATA_TRAITS, 0)
        write(metadata + _METADATA_STATE, 0)
        return 0
    if read_short(address + _FRAME_STAGE) == _EXECUTE:
        _run(table, address)
    return 0
