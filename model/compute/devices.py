"""Chooses the devices and the precision of a command, and reports a GPU that JAX cannot use."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Sequence

import jax

from model.compute.choices import Device, Precision
from model.compute.compile_cache import keep_compiled
from pipeline.errors import UsageError
from pipeline.interrupts import watch
from pipeline.threads import core_count
from pipeline.wording import counted

CPU_DEVICES = 8  # the most devices that the CPU is divided into
CPU_SHARE = 16  # the fewest drawings of a batch that are worth a CPU device of their own
BFLOAT16_CAPABILITY = 8.0  # compute capability of Ampere, the first architecture with bfloat16 matrix units


def choose_devices(device: Device, *, divided: bool = False) -> Sequence[jax.Device]:
    """The devices for `--device`: with "auto" and "gpu" all GPUs; with "cpu", or "auto" without a GPU, the CPU.

    What XLA compiles for them is kept in the user's cache folder.

    Args:
        device: the value of `--device`.
        divided: whether to present each core of the CPU to JAX as a device of its own. Several devices keep the cores
            busier than the threads of one device do: with two devices sketchnet trained 1.2 to 1.4 times as many
            images a second on 2 cores of an AMD EPYC (jax 0.10.2).

    Raises:
        UsageError: "gpu" was asked for and there is none, or JAX cannot use the GPU.
    """
    watch()  # compiling takes long
    keep_compiled()
    flags = os.environ.get("XLA_FLAGS", "")
    is_set = "JAX_NUM_CPU_DEVICES" in os.environ or "xla_force_host_platform_device_count" in flags
    if divided and not is_set:
        # JAX raises RuntimeError if it has already computed something, as in a notebook or a test.
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
            "this machine has an NVIDIA driver, but JAX computes on the CPU: install JAX's CUDA plugin with "
            "`pip install -e '.[cuda12]'` (or cuda13) in sketchpipe's folder, or use --device cpu"
        )
    if device == "gpu":
        raise UsageError("--device gpu: JAX finds no GPU; use --device cpu")
    return devices


def devices_for(batch: int, devices: Sequence[jax.Device]) -> Sequence[jax.Device]:
    """The devices to train a batch on: all GPUs, or as many CPU devices as get equal shares of `CPU_SHARE` or more."""
    if devices[0].platform != "cpu":
        return devices
    count = max(n for n in range(1, len(devices) + 1) if n == 1 or (batch % n == 0 and batch // n >= CPU_SHARE))
    return devices[:count]


def choose_precision(precision: Precision, devices: Sequence[jax.Device]) -> str:
    """The precision for `--precision`: "auto" is bfloat16 on GPUs with bfloat16 matrix units, else float32."""
    if precision != "auto":
        return precision
    return "bfloat16" if min(map(_capability, devices)) >= BFLOAT16_CAPABILITY else "float32"


def describe(devices: Sequence[jax.Device]) -> str:
    """The devices in words, for messages."""
    first = devices[0]
    if first.platform == "cpu":
        divided = f", as {len(devices)} devices" if len(devices) > 1 else ""
        return f"the CPU ({counted(core_count(), 'core')}{divided})"
    return f"{len(devices)} x {first.device_kind}" if len(devices) > 1 else first.device_kind


def _capability(device: jax.Device) -> float:
    """The compute capability of an NVIDIA GPU; 0 for other devices, whose `compute_capability` is not a number."""
    try:
        return float(getattr(device, "compute_capability", 0))
    except (TypeError, ValueError):
        return 0.0


def nvidia_driver() -> bool:
    """Whether this machine has a working NVIDIA driver: whether `nvidia-smi -L` succeeds."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    try:
        return subprocess.run([tool, "-L"], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
