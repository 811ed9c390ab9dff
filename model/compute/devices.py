"""Which devices a command computes on and in what precision, and what to say where a GPU stands idle."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import get_args

import jax

from model.compute.choices import Device, Precision
from model.compute.compile_cache import keep_compiled
from pipeline.errors import UsageError
from pipeline.threads import core_count

DEVICES: tuple[str, ...] = get_args(Device)
PRECISIONS: tuple[str, ...] = get_args(Precision)
CPU_DEVICES = 8  # at most
CPU_SHARE = 16  # drawings of a batch that a CPU device must get at least
BFLOAT16_CAPABILITY = 8.0  # compute capability: Ampere, the first whose matrix units take bfloat16


def choose_devices(device: str, *, divided: bool = False) -> Sequence[jax.Device]:
    """The devices for `--device`: every GPU there is under auto and gpu, else the CPU.

    What is compiled for them is kept in the user's cache folder.

    Args:
        device: one of `DEVICES`.
        divided: whether to make the CPU a device for each core, which side by side keep it busier than the threads of
            one do: two of sketchnet's trained 1.2 to 1.4 times as many images on 2 cores of an AMD EPYC (jax 0.10.2).

    Raises:
        UsageError: the choice is unknown, there is no GPU, or there is one that JAX cannot use.
    """
    if device not in DEVICES:
        raise UsageError(f'device "{device}": expected one of {", ".join(DEVICES)}')
    keep_compiled()
    flags = os.environ.get("XLA_FLAGS", "")
    told = "JAX_NUM_CPU_DEVICES" in os.environ or "xla_force_host_platform_device_count" in flags
    if divided and not told:
        # JAX refuses once it has begun to compute, as in a notebook or a test.
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", min(core_count(), CPU_DEVICES))
    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
        return jax.devices("cpu")
    devices = jax.devices()
    if devices[0].platform == "gpu":
        return devices
    if nvidia_driver():
        raise UsageError(
            "an NVIDIA driver answers, but this JAX computes on the CPU: install its CUDA plugin with "
            "`pip install 'sketchpipe[cuda12]'` (or cuda13), or say --device cpu"
        )
    if device == "gpu":
        raise UsageError("--device gpu: JAX finds no GPU; say --device cpu")
    return devices


def devices_for(batch: int, devices: Sequence[jax.Device]) -> Sequence[jax.Device]:
    """Of CPU devices, as many as divide a batch into equal shares that are worth it; all GPUs."""
    if devices[0].platform != "cpu":
        return devices
    count = max(n for n in range(1, len(devices) + 1) if n == 1 or (batch % n == 0 and batch // n >= CPU_SHARE))
    return devices[:count]


def choose_precision(precision: str, devices: Sequence[jax.Device]) -> str:
    """What to compute in for `--precision`: under auto bfloat16 on GPUs that are built for it, else float32.

    Raises:
        UsageError: the choice is unknown.
    """
    if precision not in PRECISIONS:
        raise UsageError(f'precision "{precision}": expected one of {", ".join(PRECISIONS)}')
    if precision != "auto":
        return precision
    return "bfloat16" if min(map(_capability, devices)) >= BFLOAT16_CAPABILITY else "float32"


def describe(devices: Sequence[jax.Device]) -> str:
    """The devices in words."""
    first = devices[0]
    if first.platform == "cpu":
        divided = f", as {len(devices)} devices" if len(devices) > 1 else ""
        return f"the CPU ({core_count()} cores{divided})"
    return f"{len(devices)} x {first.device_kind}" if len(devices) > 1 else first.device_kind


def _capability(device: jax.Device) -> float:
    """An NVIDIA chip's compute capability; 0 of all else, whose names for it are no numbers."""
    try:
        return float(getattr(device, "compute_capability", 0))
    except (TypeError, ValueError):
        return 0.0


def nvidia_driver() -> bool:
    """Whether an NVIDIA driver answers on this machine."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    try:
        return subprocess.run([tool, "-L"], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
