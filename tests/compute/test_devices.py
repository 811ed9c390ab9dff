import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import pytest

from model.compute.compile_cache import remove_unverified, write_checksums
from model.compute.devices import choose_precision, devices_for
from tests.small import SMALL, command, kernels_kept, sample_shards


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
    assert choose_precision("auto", [chip("gfx90a")]) == "float32"


@pytest.mark.parametrize(
    ("batch", "count", "used"), [(128, 8, 8), (128, 6, 4), (64, 8, 4), (24, 8, 1), (33, 2, 1), (99, 3, 3), (8, 1, 1)]
)
def test_cpu_devices_share_a_batch_evenly_or_stand_idle(batch: int, count: int, used: int) -> None:
    devices: Any = [SimpleNamespace(platform="cpu") for _ in range(count)]
    assert len(devices_for(batch, devices)) == used


def test_no_gpu_stands_idle_for_a_batch_that_does_not_fit() -> None:
    assert len(devices_for(100, [chip("9.0")] * 3)) == 3


def train(shards: Path, work: Path, run: str) -> set[str]:
    """The names in the cache of what was compiled after a training, of which nothing may be warned."""
    environment = {name: value for name, value in kernels_kept().items() if name != "JAX_COMPILATION_CACHE_DIR"}
    environment |= {"XDG_CACHE_HOME": str(work / "cache"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    arguments = ("train", "--shards", str(shards), *SMALL, "--epochs", "1", "--run", run)
    ran = subprocess.run(command(*arguments), cwd=work, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "Warning" not in ran.stderr
    return {path.name for path in (work / "cache" / "sketchpipe" / "xla").glob("*-cache")}


@pytest.mark.slow
def test_a_second_training_compiles_nothing_again_but_what_is_damaged(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shards = sample_shards(tmp_path_factory)
    first = train(shards, tmp_path, "one")
    # As `jit` and as `pmap` name the step.
    steps = [name for name in first if name.startswith(("jit_train_steps", "jit__fun", "pmap_train_steps"))]
    assert steps
    step = tmp_path / "cache" / "sketchpipe" / "xla" / steps[0]
    whole = step.read_bytes()
    step.write_bytes(whole[: len(whole) // 2])  # as a full disk leaves it
    assert train(shards, tmp_path, "two") == first
    assert len(step.read_bytes()) > len(whole) // 2
    same = [(tmp_path / run / "checkpoints").glob("*/arrays.safetensors") for run in ("one", "two")]
    assert len({path.read_bytes() for paths in same for path in paths}) == 1


def test_what_was_compiled_is_used_only_as_it_was_written(tmp_path: Path) -> None:
    for name in ("whole", "flipped", "unproved"):
        (tmp_path / f"{name}-cache").write_bytes(bytes(100))
    write_checksums(tmp_path)
    (tmp_path / "unproved-cache.sha256").unlink()  # as a process that was killed between the two leaves it
    (tmp_path / "flipped-cache").write_bytes(bytes(99) + b"\x01")
    remove_unverified(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"whole-cache", "whole-cache.sha256"}


@pytest.mark.parametrize("name", ["entry-cache", "entry-cache.sha256"])
def test_any_flipped_bit_removes_the_entry(tmp_path: Path, name: str) -> None:
    (tmp_path / "entry-cache").write_bytes(bytes(range(60)))
    write_checksums(tmp_path)
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    remove_unverified(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole
    for bit in range(8 * len(whole[name])):
        for path, content in whole.items():
            (tmp_path / path).write_bytes(content)
        flipped = bytearray(whole[name])
        flipped[bit // 8] ^= 1 << bit % 8
        (tmp_path / name).write_bytes(flipped)
        remove_unverified(tmp_path)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["entry-cache", "entry-cache.sha256"])
def test_a_pipe_or_a_link_in_the_cache_is_removed(tmp_path: Path, name: str) -> None:
    for make in (lambda path: os.mkfifo(path), lambda path: path.symlink_to("/dev/zero")):
        (tmp_path / "entry-cache").write_bytes(bytes(100))
        write_checksums(tmp_path)
        (tmp_path / name).unlink()
        make(tmp_path / name)
        remove_unverified(tmp_path)
        assert not list(tmp_path.iterdir())


def test_a_process_that_ends_at_once_keeps_what_it_compiled(tmp_path: Path) -> None:
    script = (
        "import jax, os, model.compute.compile_cache as c; c.keep_compiled(); jax.jit(lambda x: x + 1)(1); os._exit(0)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    folder = tmp_path / "sketchpipe" / "xla"
    before = sorted(path.name for path in folder.glob("*-cache*"))
    remove_unverified(folder)
    assert sorted(path.name for path in folder.glob("*-cache*")) == before != []


def test_without_a_place_for_it_nothing_is_kept_and_nothing_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    script = (
        "import jax, model.compute.compile_cache as c; c.keep_compiled(); print(jax.config.jax_compilation_cache_dir)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    environment |= {"XDG_CACHE_HOME": str(tmp_path / "file"), "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("None\n", "")
