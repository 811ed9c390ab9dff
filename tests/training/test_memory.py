"""No room on a device: which batch would fit, by the sizes that XLA gives of what it compiled."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from model.config import TrainConfig
from model.networks import make_config
from model.runs.card import RunCard
from model.runs.folder import Run
from model.runs.opening import open_run
from model.training.memory import (
    bytes_needed,
    explained_out_of_memory,
    fitting_batch,
    is_out_of_memory,
    memory_of,
    out_of_memory,
)
from model.training.train import Progress, Trainer
from pipeline.errors import UsageError
from pipeline.shards.read import open_split
from tests.small import sample_shards

CPU = jax.devices("cpu")[:1]


def config_of(batch: int) -> TrainConfig:
    return make_config("sketch-classifier", ("ant", "bird"), drawings=10**7, batch=batch, image_size=16)


def fill_the_device() -> None:
    """More than any device has: XLA's own error, of a real allocation."""
    jnp.zeros(1 << 46, jnp.uint8).block_until_ready()


@pytest.fixture(scope="module")
def needed() -> dict[int, int]:
    """The bytes of a step of each batch."""
    return {batch: bytes_needed(config_of(batch), batch, CPU[0]) for batch in (1024, 2048, 4096)}


def test_a_larger_batch_needs_more_and_at_least_its_own_images(needed: dict[int, int]) -> None:
    assert needed[1024] < needed[2048] < needed[4096]
    for batch, size in needed.items():
        assert size > 6 * batch * 16 * 16 * 3


def test_the_largest_half_or_quarter_that_fits_is_found(needed: dict[int, int]) -> None:
    assert fitting_batch(config_of(4096), CPU, needed[4096]) == 2048  # what has failed is not tried again
    assert fitting_batch(config_of(4096), CPU, needed[2048]) == 2048
    assert fitting_batch(config_of(4096), CPU, needed[2048] - 1) == 1024
    assert fitting_batch(config_of(2), CPU, 10_000) is None


def test_the_message_says_what_was_asked_what_there_is_and_which_batch_would_fit(needed: dict[int, int]) -> None:
    said = str(out_of_memory(config_of(4096), CPU, needed[2048]))
    sizes = re.fullmatch(
        r"batch 4096: not enough memory for a step, which takes (.+) GB, on the CPU .* with (.+) GB usable; "
        r"train another run with --batch 2048, which would fit",
        said,
    )
    assert sizes is not None, said
    assert [float(size) for size in sizes.groups()] == [round(needed[batch] / 1e9, 2) for batch in (4096, 2048)]
    assert "another program probably holds the memory: end it, or" in str(out_of_memory(config_of(4096), CPU, 10**15))
    assert "no smaller batch fits either: use a smaller network" in str(out_of_memory(config_of(2), CPU, 10_000))


def test_the_cpu_has_no_more_memory_than_the_machine() -> None:
    assert 10**8 < memory_of(CPU) < 10**14


def test_only_an_error_of_memory_is_turned_into_one_of_the_batch() -> None:
    with pytest.raises(jax.errors.JaxRuntimeError) as error:
        fill_the_device()
    assert is_out_of_memory(error.value)
    with (
        pytest.raises(UsageError, match="batch 2048: not enough memory for a step"),
        explained_out_of_memory(config_of(2048), CPU),
    ):
        fill_the_device()
    with pytest.raises(RuntimeError, match="another"), explained_out_of_memory(config_of(2048), CPU):
        raise RuntimeError("another")
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"), explained_out_of_memory(config_of(2048), CPU):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")


def test_a_run_that_meets_it_ends_with_one_line_and_keeps_its_checkpoints(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    split = open_split(sample_shards(tmp_path_factory), "train")
    config = make_config("sketch-classifier", split.manifest.classes, drawings=492, batch=64, image_size=16, epochs=2)
    run = Run(tmp_path / "run", config, RunCard("s", "/s", split.manifest.checksum, True, {}))
    run.create()
    trainer = Trainer(run, split, CPU)

    def report(progress: Progress) -> None:
        if progress.epoch == 1:
            fill_the_device()

    trainer.report = report
    with pytest.raises(UsageError, match=r"batch 64: not enough memory for a step, .* --batch 32 or less") as error:
        trainer.fit()
    assert error.value.exit_code == 2
    assert open_run(run.folder).checkpoint(best=False) == run.folder / "checkpoints" / "00001-0000000"
