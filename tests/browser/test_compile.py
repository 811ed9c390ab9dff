"""Kernels compiled to WebAssembly and run by wasmtime: arguments, results, refusals and the cache."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.browser.compile import compile_kernels, is_compiled
from pipeline.browser.kernels import MEMORY, STACK, Exported
from pipeline.errors import SketchpipeError
from tests.browser import small_kernels

wasmtime = pytest.importorskip("wasmtime", reason="wasmtime, of the extra page, is not installed")
PLACE = small_kernels.__name__
KERNELS = (
    Exported("sums", PLACE, "add_up", ("uint8[,]", "float64", "int64", "bool", "float32[]", "int64[]")),
    Exported("fails", PLACE, "fails", ("int64[]", "int64")),
    Exported("steps", PLACE, "steps", ("int64[]", "int64", "int64")),
)


@pytest.fixture(scope="module")
def module() -> bytes:
    return compile_kernels(KERNELS)


def test_a_module_exports_the_kernels_and_imports_only_memory_and_a_stack(module: bytes) -> None:
    found = wasmtime.Module(wasmtime.Engine(), module)
    assert {(one.module, one.name) for one in found.imports} == {MEMORY, STACK}
    assert [one.name for one in found.exports] == ["sums", "fails", "steps"]


def test_a_kernel_that_calls_itself_uses_the_stack(module: bytes) -> None:
    from pipeline.browser.run import Runner

    runner = Runner(module, KERNELS)
    values = np.arange(1000)
    placed = runner.put(values)
    assert runner.call("steps", placed, 0, 1000) == small_kernels.steps(values, 0, 1000) == values.sum()
    np.testing.assert_array_equal(runner.get(placed), values)


def test_modules_of_the_current_folder_are_not_imported(
    module: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.py").write_text("raise SystemExit('the wrong module')\n")
    (tmp_path / "tests.py").write_text("raise SystemExit('the wrong module')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert compile_kernels(KERNELS) == module


@pytest.mark.parametrize("is_doubled", [False, True])
def test_a_kernel_computes_there_what_it_computes_here(module: bytes, is_doubled: bool) -> None:
    from pipeline.browser.run import Runner

    rng = np.random.default_rng(0)
    table, floats = rng.integers(0, 256, (5, 7)).astype(np.uint8), rng.random(5).astype(np.float32)
    out = np.zeros(5, np.int64)
    runner = Runner(module, KERNELS)
    placed = runner.put(table), runner.put(floats), runner.put(out)
    returned = runner.call("sums", placed[0], 1.5, 4, is_doubled, placed[1], placed[2])
    assert returned == small_kernels.add_up(table, 1.5, 4, is_doubled, floats, out) == 5
    np.testing.assert_array_equal(runner.get(placed[2]), out)
    np.testing.assert_array_equal(runner.get(placed[1]), floats)
    assert out[3] > out[4] == 0


def test_memory_grows_with_what_is_put_into_it(module: bytes) -> None:
    from pipeline.browser.run import Runner

    runner = Runner(module, KERNELS)
    values = np.arange(100_000)
    placed = runner.put(values)
    assert [runner.call("fails", placed, at) for at in (0, 70_000, 99_999)] == [0, 70_000, 99_999]
    np.testing.assert_array_equal(runner.get(placed), values)


def test_an_exception_of_a_kernel_is_an_error(module: bytes) -> None:
    from pipeline.browser.run import Runner

    runner = Runner(module, KERNELS)
    with pytest.raises(SketchpipeError, match="the kernel fails raised an exception"):
        runner.call("fails", runner.put(np.arange(3)), -1)


def test_what_webassembly_cannot_run_alone_is_refused_by_name() -> None:
    with pytest.raises(SketchpipeError, match="uses expf, which WebAssembly does not have"):
        compile_kernels((Exported("one", PLACE, "needs_a_library", ("float32[]",)),))
    with pytest.raises(SketchpipeError, match="let its caller pass an array"):
        compile_kernels((Exported("one", PLACE, "needs_data", ("int64[]", "int64")),))


def test_a_module_is_kept_and_a_damaged_one_compiled_again_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kernels = KERNELS[1:2]
    assert not is_compiled(kernels)
    module = compile_kernels(kernels)
    assert is_compiled(kernels)
    (file,) = (tmp_path / "sketchpipe" / "wasm").iterdir()
    before = file.read_bytes()
    assert compile_kernels(kernels) == module
    file.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    assert compile_kernels(kernels) == module
    assert file.read_bytes() == before


def test_without_a_cache_a_module_is_made_all_the_same(module: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    assert not is_compiled(KERNELS)
    assert compile_kernels(KERNELS) == module
