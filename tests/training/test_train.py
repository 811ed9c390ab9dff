import dataclasses
import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest

from model.compute.kernels import RECORD, kernels_for
from model.compute.steps import CompiledSteps, TrainState, compile_steps, create_train_state
from model.networks import SketchClassifier, make_config
from model.runs.card import RunCard
from model.runs.checkpoint import Position
from model.runs.folder import Run
from model.runs.opening import open_run
from model.runs.state import load_checkpoint
from model.training import meter
from model.training.stopping import TrainingStoppedError
from model.training.train import Progress, Trainer, open_validation
from pipeline.errors import DivergedError, LockedError, UsageError
from pipeline.shards.read import open_split
from pipeline.threads import Times
from tests.small import sample_shards

STEPS_PER_EPOCH = 7  # of 64 of 492 drawings


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_shards(tmp_path_factory)


@pytest.fixture(autouse=True)
def report_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "REPORT_SECONDS", 0.0)


def trainer_of(folder: Path, shards: Path, **changes: Any) -> Trainer:
    """A trainer of the run in `folder`, which is made where it is missing: two epochs of the smallest network."""
    split = open_split(shards, "train")
    if (folder / "run.json").exists():
        run = open_run(folder)
    else:
        settings = {"network": "sketch-classifier", "epochs": 2, "batch": 64, "image_size": 16, "augment": "shift=1"}
        settings |= changes
        config = make_config(settings.pop("network"), split.manifest.classes, drawings=len(split), **settings)
        versions = {RECORD: kernels_for(config, jax.devices())}
        run = Run(folder, config, RunCard(str(shards), str(shards), split.manifest.checksum, True, versions))
        run.create()
    return Trainer(run, split, jax.devices()[:1], kernels=kernels_for(run.config, jax.devices()))


def final_arrays(folder: Path) -> bytes:
    last = open_run(folder).checkpoint(best=False)
    assert last is not None
    return (last / "arrays.safetensors").read_bytes()


def metrics_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, shards: Path) -> Path:
    """A run that was never stopped."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    trainer_of(folder, shards).fit()
    return folder


def stop_at(epoch: int, step: int, number: int) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if (progress.epoch, progress.step) == (epoch, step):
            signal.raise_signal(number)

    return report


@pytest.mark.parametrize(
    "stops",
    [
        [(0, 1, signal.SIGINT)],
        [(0, 3, signal.SIGTERM), (1, 5, signal.SIGINT)],
        [(0, STEPS_PER_EPOCH, signal.SIGINT), (1, 1, signal.SIGINT)],
        [(1, STEPS_PER_EPOCH - 1, signal.SIGTERM)],
    ],
)
def test_a_stopped_run_ends_with_the_very_parameters_of_one_never_stopped(
    whole: Path, shards: Path, tmp_path: Path, stops: list[tuple[int, int, int]]
) -> None:
    for epoch, step, number in stops:
        trainer = trainer_of(tmp_path / "run", shards)
        trainer.report = stop_at(epoch, step, number)
        with pytest.raises(
            TrainingStoppedError, match=f"stopped by {signal.Signals(number).name}; .* the same command"
        ) as stop:
            trainer.fit()
        assert stop.value.exit_code == 128 + number
        assert not open_run(tmp_path / "run").card.finished
    trainer_of(tmp_path / "run", shards).fit()
    assert open_run(tmp_path / "run").card.finished
    assert final_arrays(tmp_path / "run") == final_arrays(whole)
    names = ("epoch", "train_loss", "train_accuracy", "validation_top1", "validation_map3")
    found, expected = ([{n: line[n] for n in names} for line in metrics_of(run)] for run in (tmp_path / "run", whole))
    assert found == expected


def test_a_run_stopped_during_validation_validates_when_it_is_resumed(
    whole: Path, shards: Path, tmp_path: Path
) -> None:
    trainer = trainer_of(tmp_path / "run", shards)
    eval_step, train_steps = trainer.steps.eval_step, trainer.steps.train_steps

    def stop_and_score(variables: Any, images: Any) -> Any:
        if train_steps._cache_size():  # type: ignore[attr-defined] # the first call, before any step, only compiles
            signal.raise_signal(signal.SIGINT)
        return eval_step(variables, images)

    trainer.steps = dataclasses.replace(trainer.steps, eval_step=stop_and_score)
    with pytest.raises(TrainingStoppedError, match="stopped by SIGINT; resume"):
        trainer.fit()
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
    trainer_of(tmp_path / "run", shards).fit()
    assert final_arrays(tmp_path / "run") == final_arrays(whole)
    names = ("epoch", "validation_top1", "validation_map3")
    found, expected = ([{n: line[n] for n in names} for line in metrics_of(run)] for run in (tmp_path / "run", whole))
    assert found == expected


def test_nothing_is_compiled_while_signals_are_delayed(shards: Path, tmp_path: Path) -> None:
    jax.clear_caches()  # of what other tests compiled
    trainer = trainer_of(tmp_path / "run", shards, schedule="cosine")
    compiled: list[str] = []

    def note(event: str, _seconds: float, **details: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(str(details.get("fun_name")))

    def report(progress: Progress) -> None:
        if (progress.epoch, progress.step) == (0, 1):  # the first step is done
            assert compiled
            compiled.clear()

    trainer.report = report
    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        trainer.fit()
    finally:
        jax.monitoring.unregister_event_duration_listener(note)
    assert len(metrics_of(tmp_path / "run")) == 2
    assert compiled == []


def test_a_run_stopped_while_it_is_finished_is_done_and_says_that_it_was_stopped(shards: Path, tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path / "run", shards, epochs=1)
    trainer.epoch_done = lambda _metrics: signal.raise_signal(signal.SIGTERM)
    with pytest.raises(TrainingStoppedError, match=r"stopped by SIGTERM; \S+/run is finished") as stop:
        trainer.fit()
    assert stop.value.exit_code == 143
    assert open_run(tmp_path / "run").card.finished


def test_more_steps_than_can_be_counted_are_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"epochs must make fewer than 2\*\*31 steps"):
        trainer_of(tmp_path / "run", shards, epochs=2**31)


def test_a_run_stopped_before_its_first_step_begins_again(whole: Path, shards: Path, tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path / "run", shards)
    trainer.steps = dataclasses.replace(trainer.steps)  # a copy, whose put_state is told to stop
    put_state = trainer.steps.put_state

    def stop_and_put(state: TrainState) -> TrainState:
        signal.raise_signal(signal.SIGINT)
        return put_state(state)

    object.__setattr__(trainer.steps, "put_state", stop_and_put)
    with pytest.raises(TrainingStoppedError, match="stopped by SIGINT"):
        trainer.fit()
    assert open_run(tmp_path / "run").checkpoint(best=False) is None
    trainer_of(tmp_path / "run", shards).fit()
    assert final_arrays(tmp_path / "run") == final_arrays(whole)


def test_a_second_signal_kills_as_usual(shards: Path, tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path / "run", shards)

    def report(_progress: Progress) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    trainer.report = report
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let jobs in the background ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            trainer.fit()
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(whole: Path, shards: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        trainer_of(tmp_path / str(seed), shards, seed=seed).fit()
    assert final_arrays(tmp_path / "0") == final_arrays(whole)
    assert final_arrays(tmp_path / "1") != final_arrays(whole)


def test_a_run_learns_and_writes_down_what_it_saw(whole: Path) -> None:
    first, last = metrics_of(whole)
    assert [first["epoch"], last["epoch"]] == [0, 1]
    assert last["train_loss"] < first["train_loss"]
    assert last["validation_drawings"] == 52
    for name in ("train_accuracy", "validation_top1", "validation_top3", "validation_map3"):
        assert 0 <= last[name] <= 1


def test_the_steps_are_compiled_once_and_quietly(shards: Path, tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path / "run", shards)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a buffer that is not given away, say
        trainer.fit()
    assert trainer.steps.train_steps._cache_size() == 1  # type: ignore[attr-defined]
    assert trainer.steps.eval_step._cache_size() == 1  # type: ignore[attr-defined]


def test_progress_counts_up_to_the_last_step(shards: Path, tmp_path: Path) -> None:
    trainer, seen = trainer_of(tmp_path / "run", shards, epochs=1), []
    trainer.report = seen.append
    trainer.fit()
    assert [progress.step for progress in seen][:STEPS_PER_EPOCH] == list(range(1, STEPS_PER_EPOCH + 1))
    last = seen[-1]
    assert (last.epoch, last.step, last.steps) == (0, STEPS_PER_EPOCH, STEPS_PER_EPOCH)
    assert all(0 <= progress.reading.waiting <= 1 for progress in seen)


def spoil(folder: Path, part: str, value: float) -> None:
    """Give a run a first checkpoint in which a part of the state holds `value` throughout."""
    run = open_run(folder)
    trainer = trainer_of(folder, Path(run.card.shards))
    state, position = trainer._start()
    spoiled = jax.tree.map(lambda leaf: np.full_like(leaf, value) if leaf.ndim else leaf, getattr(state, part))
    run.save(dataclasses.replace(state, **{part: spoiled}), position, best=False)


def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_its_last_checkpoint(shards: Path, tmp_path: Path) -> None:
    trainer_of(tmp_path / "run", shards, lr=0.5)
    spoil(tmp_path / "run", "params", 1e30)
    before = final_arrays(tmp_path / "run")
    with pytest.raises(
        DivergedError, match=r"the loss is (nan|inf) in step 1 of epoch 1; .*00000-0000000; .* --lr below 0\.5"
    ):
        trainer_of(tmp_path / "run", shards).fit()
    assert final_arrays(tmp_path / "run") == before


def test_weights_that_are_not_finite_are_never_kept(shards: Path, tmp_path: Path) -> None:
    trainer_of(tmp_path / "run", shards, epochs=1, batch=492)  # one step, whose loss is that of the sound weights
    spoil(tmp_path / "run", "opt_state", -1)  # of the mean square of the gradients, whose root is taken
    before = final_arrays(tmp_path / "run")
    with pytest.raises(DivergedError, match="a weight is not finite after 1 step;"):
        trainer_of(tmp_path / "run", shards).fit()
    assert final_arrays(tmp_path / "run") == before


def test_a_run_is_trained_by_one_process_at_a_time(shards: Path, tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path / "run", shards)
    with trainer.run.locked(), pytest.raises(LockedError, match=f"process {os.getpid()} is training it"):
        trainer_of(tmp_path / "run", shards).fit()
    trainer.fit()


def test_without_a_validation_split_the_last_epoch_is_the_best(tmp_path_factory: pytest.TempPathFactory) -> None:
    shards = sample_shards(tmp_path_factory, "no-validation", splits="0.9,0,0.1")
    assert open_validation(open_split(shards, "train")) is None
    folder = tmp_path_factory.mktemp("runs") / "run"
    trainer_of(folder, shards).fit()
    assert "validation_top1" not in metrics_of(folder)[-1]
    run = open_run(folder)
    assert run.checkpoint(best=True) == run.checkpoint(best=False) == folder / "checkpoints" / "00002-0000000"


def test_a_batch_larger_than_the_training_split_is_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"batch 500 is larger than the train split \(492 drawings\)"):
        trainer_of(tmp_path / "run", shards, batch=500).fit()


def classifier(axis_name: str | None) -> SketchClassifier:
    return SketchClassifier(classes=3, axis_name=axis_name)


def steps_of(tx: optax.GradientTransformation, devices: list[jax.Device], batch: int) -> CompiledSteps:
    return compile_steps(classifier, tx, devices, batch=batch, label_smoothing=0.0, seed=0)


def test_the_loss_falls_on_one_batch_seen_again_and_again() -> None:
    tx = optax.adam(1e-2)
    steps = steps_of(tx, jax.devices()[:1], 12)
    state = steps.put_state(create_train_state(classifier(None), tx, seed=0, image_size=32))
    labels = np.arange(12, dtype=np.int32) % 3
    images = np.random.default_rng(0).integers(0, 100, (12, 32, 32, 3), np.uint8)
    images[np.arange(12), ..., labels] += 100  # the channel tells the class
    losses = []
    for _ in range(15):
        state, metrics = steps.train_steps(state, *([one] for one in steps.put_batch(images, labels)))
        losses.append(float(metrics["loss"][0]))
    assert losses[-1] < 0.5 * losses[0]


def test_a_batch_that_the_devices_do_not_divide_is_refused() -> None:
    with pytest.raises(UsageError, match="batch 15: expected a multiple of the 2 devices"):
        steps_of(optax.sgd(0.1), jax.devices()[:1] * 2, 15)


@pytest.fixture(scope="module")
def on_eight_devices() -> dict[str, dict[str, Any]]:
    script = Path(__file__).with_name("devices_agree.py")
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"  # those of tests/conftest.py too
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(script.parents[2])}
    ran = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    out: dict[str, dict[str, Any]] = json.loads(ran.stdout)
    return out


@pytest.mark.parametrize(
    "way",
    [*(f"sketchnet on {way} a call" for way in ("1, 3", "2, 1", "8, 1")), "dropout on 8, 3 a call"],
)
def test_many_devices_and_many_steps_a_call_train_to_the_parameters_of_one(
    on_eight_devices: dict[str, Any], way: str
) -> None:
    found = on_eight_devices[way]
    assert found["step"] == 6
    # Sums over the batch in another order: float32 roundings of 6e-8, grown over six steps of SGD.
    assert found["difference"] < 1e-4
    assert found["traces"] == 1


def test_means_are_over_the_whole_epoch_or_without_sums_over_the_steps_of_this_process() -> None:
    losses = np.array([1.1, 0.3, 1e-7, 2.7], np.float32)
    whole = meter.Meter(8, Times(), Position(0, 0, 0.0))
    whole.add({"loss": losses, "accuracy": losses / 4})  # type: ignore[dict-item] # arrays, as device_get returns them
    whole.read()
    first = meter.Meter(8, Times(), Position(0, 0, 0.0))
    first.add({"loss": losses[:1], "accuracy": losses[:1] / 4})  # type: ignore[dict-item]
    first.read()
    stored = json.loads(json.dumps([first.loss_sum, first.accuracy_sum]))
    for before, expected in (
        (Position(0, 1, 0.0, loss_sum=stored[0], accuracy_sum=stored[1]), whole.means()["train_loss"]),
        (Position(0, 1, 0.0), np.float64(losses[1:]).mean()),
    ):
        second = meter.Meter(8, Times(), before)
        second.add({"loss": losses[1:], "accuracy": losses[1:] / 4})  # type: ignore[dict-item]
        second.read()
        found = second.means()["train_loss"]
        assert found == expected if before.loss_sum else found == pytest.approx(expected)
    nothing = meter.Meter(8, Times(), Position(0, 1, 0.0, loss_sum=stored[0], accuracy_sum=stored[1]))
    assert nothing.means() == {"train_loss": stored[0], "train_accuracy": stored[1]}


def test_a_position_is_stored_with_the_name_of_the_best(whole: Path) -> None:
    run = open_run(whole)
    last = run.checkpoint(best=False)
    assert last is not None
    position: Position = load_checkpoint(last)[1]
    best_epoch = max(metrics_of(whole), key=lambda line: line["validation_top1"])["epoch"]  # of equals the first
    assert position.best == f"{best_epoch + 1:05d}-0000000"
    assert run.checkpoint(best=True) == whole / "checkpoints" / position.best
