"""Which devices a command computes on, and what to say where a GPU stands idle."""

import shutil
import subprocess
from collections.abc import Sequence

import jax

from pipeline.errors import UsageError
from pipeline.threads import core_count

DEVICES = ("auto", "cpu", "gpu")


def choose_devices(device: str) -> Sequence[jax.Device]:
    """The devices for `--device`: every GPU there is under auto and gpu, else the CPU.

    Raises:
        UsageError: the choice is unknown, there is no GPU, or there is one that JAX cannot use.
    """
    if device not in DEVICES:
        raise UsageError(f'device "{device}": expected one of {", ".join(DEVICES)}')
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


def describe(devices: Sequence[jax.Device]) -> str:
    """The devices in words."""
    first = devices[0]
    if first.platform == "cpu":
        forced = f", as {len(devices)} devices" if len(devices) > 1 else ""
        return f"the CPU ({core_count()} cores{forced})"
    return f"{len(devices)} x {first.device_kind}" if len(devices) > 1 else first.device_kind


def nvidia_driver() -> bool:
    """Whether an NVIDIA driver answers on this machine."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    try:
        return subprocess.run([tool, "-L"], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
