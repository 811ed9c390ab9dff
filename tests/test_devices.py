import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import pytest
from small import SMALL, command, sample_shards

from model.devices import choose_devices, choose_precision, devices_for
from pipeline.errors import UsageError


def chip(compute_capability: str) -> Any:
    return SimpleNamespace(platform="gpu", compute_capability=compute_capability)


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [(["7.5"], "float32"), (["8.0"], "bfloat16"), (["9.0"], "bfloat16"), (["12.0"], "bfloat16"),
     (["9.0", "7.0"], "float32")],
)  # fmt: skip
def test_bfloat16_is_for_chips_built_for_it(capabilities: list[str], precision: str) -> None:
    assert choose_precision("auto", [chip(one) for one in capabilities]) == precision


def test_the_cpu_computes_in_float32_unless_told_otherwise() -> None:
    assert choose_precision("auto", jax.devices("cpu")) == "float32"
    assert choose_precision("bfloat16", jax.devices("cpu")) == "bfloat16"
    assert choose_precision("float32", [chip("9.0")]) == "float32"


@pytest.mark.parametrize(
    ("batch", "count", "used"), [(128, 8, 8), (128, 6, 4), (64, 8, 4), (24, 8, 1), (33, 2, 1), (99, 3, 3), (8, 1, 1)]
)
def test_cpu_devices_share_a_batch_evenly_or_stand_idle(batch: int, count: int, used: int) -> None:
    devices: Any = [SimpleNamespace(platform="cpu") for _ in range(count)]
    assert len(devices_for(batch, devices)) == used


def test_no_gpu_stands_idle_for_a_batch_that_does_not_fit() -> None:
    assert len(devices_for(100, [chip("9.0")] * 3)) == 3


@pytest.mark.parametrize("choose", [lambda: choose_precision("half", []), lambda: choose_devices("tpu")])
def test_an_unknown_choice_names_those_that_there_are(choose: Any) -> None:
    with pytest.raises(UsageError, match="expected one of auto, "):
        choose()


def kept_by(shards: Path, work: Path, run: str) -> set[str]:
    """The names in the cache of compiled steps after a training."""
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(work / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    arguments = ("train", "--shards", str(shards), *SMALL, "--epochs", "1", "--run", run)
    ran = subprocess.run(command(*arguments), cwd=work, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return {path.name for path in (work / "cache" / "sketchpipe" / "xla").iterdir() if path.name.endswith("-cache")}


@pytest.mark.slow
def test_a_second_training_compiles_nothing_again(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    shards = sample_shards(tmp_path_factory)
    first = kept_by(shards, tmp_path, "one")
    # As `jit` and as `pmap` name the step.
    assert any(name.startswith(("jit_train_steps", "jit__fun", "pmap_train_steps")) for name in first)
    assert kept_by(shards, tmp_path, "two") == first
    same = [(tmp_path / run / "checkpoints").glob("*/arrays.safetensors") for run in ("one", "two")]
    assert len({path.read_bytes() for paths in same for path in paths}) == 1
