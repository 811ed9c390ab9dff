"""Which kernels a training uses, and how they are compiled."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.compute.kernels import compile_step, kernels_for, training_devices
from model.compute.native import calls, compiled
from model.compute.native.compiled import begin_compiling, compiled_operation
from model.compute.native.functions import Source, activate_and_pool, convolve, convolve_rows, first_layer, join
from model.compute.native.operations import OPERATIONS
from model.compute.native.plan import PHASES, Kernel
from model.kernels import choice
from model.kernels.choice import LAX, OWN, kernels_here
from model.kernels.vectors import WIDTH
from model.networks import make_config
from pipeline.jit import lacks_code

CPUS, GPUS = ([SimpleNamespace(platform=name)] * 2 for name in ("cpu", "gpu"))
needs_kernels = pytest.mark.skipif(kernels_here() == LAX, reason="this machine computes with XLA's kernels only")


def command_of(*kernels: int) -> list[str]:
    return [sys.executable, "-P", "-c", compiled._PROGRAM.format(compiled._ROOT, kernels)]


def test_operations_phases_and_plans_have_the_same_kernels_in_the_same_order() -> None:
    assert [operation.__name__ for operation in OPERATIONS] == [kernel.name.lower() for kernel in Kernel]
    assert list(PHASES) == list(Kernel) == sorted(Kernel)
    assert sorted(kernel for half in compiled._HALVES for kernel in half) == list(Kernel)


@needs_kernels
def test_a_cpu_without_the_instructions_and_another_xla_have_no_kernels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = kernels_here.__wrapped__
    assert here() == OWN
    for attribute, value in {
        "_NEEDED": ("avx2", "no such instructions"), "_FFI_HEADER": tmp_path / "none.h",
        "_FFI_MAJOR": "#define XLA_FFI_API_MAJOR 1\n", "_settings": SimpleNamespace(DISABLE_JIT=True),
    }.items():  # fmt: skip
        with monkeypatch.context() as changed:
            changed.setattr(choice, attribute, value)
            assert here() == LAX
    monkeypatch.setenv("NUMBA_CPU_FEATURES", "+avx2,-fma")
    assert here() == LAX


def test_gpus_bfloat16_and_other_networks_use_the_kernels_of_xla() -> None:
    def chosen(devices: Any, network: str = "sketchnet", **settings: Any) -> str:
        return kernels_for(make_config(network, ("a", "b"), drawings=1000, **settings), devices)

    assert chosen(CPUS) == kernels_here()
    assert {chosen(GPUS), chosen(CPUS, precision="bfloat16"), chosen(CPUS, "sketchnet-base")} == {LAX}
    assert [len(training_devices(kernels, 64, CPUS)) for kernels in (LAX, OWN)] == [2, 1]


def test_nothing_is_started_where_nothing_is_missing_or_nothing_would_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_settings: object) -> None:
        raise AssertionError("a process was started")

    assert not lacks_code(object())  # what is compiled without a cache folder has no files
    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(compiled, "lacks_code", lambda _operation: False)
    begin_compiling(Kernel)
    monkeypatch.setattr(compiled, "_is_missing", lambda _operation: True)
    begin_compiling([])
    monkeypatch.setattr(compiled, "core_count", lambda: 1)
    begin_compiling(Kernel)


def test_a_process_that_cannot_be_started_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_settings: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr(compiled, "_is_missing", lambda _operation: True)
    monkeypatch.setattr(compiled, "core_count", lambda: 2)
    monkeypatch.setattr(subprocess, "Popen", fail)
    begin_compiling(Kernel)
    assert not compiled._helpers


@needs_kernels
def test_a_process_that_hangs_is_ended_and_its_work_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdin=subprocess.PIPE)
    monkeypatch.setattr(compiled, "_helpers", [hanging])
    monkeypatch.setattr(compiled, "WAIT_SECONDS", 0.1)
    monkeypatch.setattr(compiled, "_is_missing", lambda _operation: True)
    assert compiled_operation(Kernel.JOIN_FORWARD) > 0
    assert hanging.returncode is not None
    assert not compiled._helpers


@needs_kernels
def test_a_step_is_compiled_before_its_kernels_are(monkeypatch: pytest.MonkeyPatch) -> None:
    awaited: list[Kernel] = []

    def compiled_now(kernel: Kernel) -> int:
        awaited.append(kernel)
        return compiled_operation(kernel)

    for name in ("_called", "_in_table"):
        monkeypatch.setattr(calls, name, set())
    monkeypatch.setattr(calls, "compiled_operation", compiled_now)
    source = Source(ones(3, 6, 6, WIDTH), ones(WIDTH), ones(WIDTH))
    step = jax.jit(activate_and_pool)
    with calls.only_compiling():
        step.lower(source).compile()
        assert not awaited
    assert awaited == [Kernel.JOIN_FORWARD]
    np.testing.assert_array_equal(step(source), np.full((3, 3, 3, WIDTH), 2, np.float32))
    jax.jit(lambda x: join(source, x, pooled=False))(source)  # outside, kernels are awaited as the step is traced
    assert awaited == [Kernel.JOIN_FORWARD]
    jax.jit(lambda x: convolve(x, ones(1, 1, WIDTH, WIDTH)))(source)
    assert awaited == [Kernel.JOIN_FORWARD, Kernel.POINTWISE_FORWARD]


@needs_kernels
def test_a_compiled_step_compiles_nothing_when_it_is_run() -> None:
    traced = []

    def step(source: Source) -> jax.Array:
        traced.append(source)
        return activate_and_pool(source)

    jitted, source = jax.jit(step), Source(ones(2, 10, 6, WIDTH), ones(WIDTH), ones(WIDTH))
    compile_step(jitted, source)
    durations: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: durations.append(event))
    jitted(source).block_until_ready()
    assert len(traced) == 1
    assert not [event for event in durations if "compile" in event]


@needs_kernels
def test_what_was_traced_is_traced_again_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_called", "_in_table"):
        monkeypatch.setattr(calls, name, set())
    source = Source(ones(2, 14, 6, WIDTH), ones(WIDTH), ones(WIDTH))
    step = jax.jit(activate_and_pool)

    def interrupted() -> None:
        with calls.only_compiling():
            step.lower(source).compile()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not calls._in_table
    np.testing.assert_array_equal(step(source), np.full((2, 7, 3, WIDTH), 2, np.float32))
    assert calls._in_table == {Kernel.JOIN_FORWARD}


@needs_kernels
def test_a_kernel_is_used_as_soon_as_its_process_has_compiled_it_and_no_process_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    helper = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE)
    busy = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    monkeypatch.setattr(compiled, "_helpers", [helper, busy])
    answers = iter([True, True, False])
    monkeypatch.setattr(compiled, "_is_missing", lambda _operation: next(answers))
    assert compiled_operation(Kernel.JOIN_FORWARD) > 0
    assert next(answers, None) is None
    busy.communicate(b"\n")
    monkeypatch.setattr(compiled, "_is_missing", lambda _operation: True)
    assert compiled_operation(Kernel.JOIN_FORWARD) > 0
    assert not compiled._helpers
    assert (helper.returncode, busy.returncode) == (0, 0)


def test_a_process_with_nothing_left_to_compile_ends_by_itself() -> None:
    with subprocess.Popen(command_of(), stdin=subprocess.PIPE) as helper:
        assert helper.wait(60) == 0  # its input is open


def test_a_process_imports_nothing_from_the_working_folder(tmp_path: Path) -> None:
    for name in ("model", "numba", "sys_config"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("open('imported', 'w')")
    with subprocess.Popen(
        command_of(len(Kernel)), cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as helper:
        assert helper.stderr is not None
        assert b"IndexError" in helper.stderr.read()  # there is no such kernel
    assert not (tmp_path / "imported").exists()


def test_a_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "HOME": str(tmp_path), "PATH": ""}
    with subprocess.Popen(command_of(0), env=environment, stdin=subprocess.PIPE) as helper:
        helper.communicate(timeout=60)  # closes its input
    assert helper.returncode == 1
    assert not list(tmp_path.rglob("*.kernel"))


def ones(*shape: int) -> jax.Array:
    return jnp.ones(shape, jnp.float32)


@pytest.mark.parametrize(
    "call",
    [
        lambda: convolve(Source(ones(1, 8, 8, WIDTH)), ones(5, 5, WIDTH, WIDTH)),
        lambda: convolve(Source(ones(1, 8, 8, WIDTH)), ones(3, 3, 2 * WIDTH, WIDTH)),
        lambda: convolve(Source(ones(1, 8, 8, WIDTH + 1)), ones(1, 1, WIDTH + 1, WIDTH)),
        lambda: convolve_rows(Source(ones(1, 8, 8, WIDTH), ones(WIDTH), ones(WIDTH)), ones(3, 5, 4, WIDTH), True),
        lambda: convolve_rows(Source(ones(1, 8, 8, WIDTH), ones(WIDTH), ones(WIDTH)), ones(3, 3, 4, 4), True),
        lambda: activate_and_pool(Source(ones(1, 8, 8, 3), ones(3), ones(3))),
        lambda: join(*(Source(ones(1, n, n, WIDTH), ones(WIDTH), ones(WIDTH)) for n in (4, 6)), pooled=False),
        lambda: first_layer(jnp.ones((1, 8, 8, 4), jnp.uint8), ones(3, 3, 4, WIDTH), 1, True),
        lambda: first_layer(jnp.ones((1, 8, 9, 3), jnp.uint8), ones(3, 3, 3, WIDTH), 1, True),
    ],
)
def test_shapes_that_no_kernel_is_for_are_refused(call: Any) -> None:
    with pytest.raises(ValueError, match=r"expected .*, found "):
        call()


@needs_kernels
def test_other_types_than_a_kernel_takes_are_refused() -> None:
    with pytest.raises(TypeError, match="expected float32, found bfloat16"):
        convolve(Source(ones(1, 8, 8, WIDTH).astype(jnp.bfloat16)), ones(3, 3, WIDTH, WIDTH))
    with pytest.raises(TypeError, match="expected uint8, found float32"):
        first_layer(ones(1, 8, 8, 3), ones(3, 3, 3, WIDTH), 1, True)
