"""Training a run: epochs of steps, validation, checkpoints, and going on exactly where it was."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import jax
import numpy as np

from model.checkpoint import Position, load_checkpoint
from model.config import TrainConfig, make_tx
from model.evaluate import EVAL_BATCH, labels_in, score_batches
from model.feed import Feed
from model.networks import make_network
from model.runs import Run
from model.steps import CompiledSteps, TrainState, compile_steps, create_train_state
from pipeline.augment import Augmentation
from pipeline.errors import InputError, SketchpipeError
from pipeline.loader import Loader, LoaderConfig
from pipeline.shards.read import ShardSplit, open_split

VALIDATION_DRAWINGS = 20_000
CHECKPOINT_SECONDS = 300.0


class StoppedError(SketchpipeError):
    """Training was told to stop and has written its checkpoint; `exit_code` follows from the signal."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


@dataclass(frozen=True)
class Progress:
    """Where training stands, a few times a second at most.

    Attributes:
        epoch: from 0.
        epochs: of the whole run.
        step: steps done in this epoch.
        steps: of an epoch.
        loss: mean over the steps since the last report.
        accuracy: likewise, on training batches, from 0 to 1.
        images_per_second: since the last report.
        waiting: share of the time spent waiting for data since the last report, from 0 to 1.
        seconds_left: of the whole run, at this pace.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    images_per_second: float
    waiting: float
    seconds_left: float


@dataclass
class Trainer:
    """One run being trained.

    Attributes:
        run: where it is kept.
        train: the training split.
        validation: the validation split; None where it has no drawings.
        devices: one is driven by jit, several by pmap.
        report: is told `Progress` about once a second.
        epoch_done: is told each epoch's metrics, as they stand in `metrics.jsonl`.
    """

    run: Run
    train: ShardSplit
    validation: ShardSplit | None
    devices: Sequence[jax.Device]
    report: Callable[[Progress], None] = lambda _progress: None
    epoch_done: Callable[[dict[str, Any]], None] = lambda _metrics: None
    _meter: "_Meter" = field(default_factory=lambda: _Meter())

    def __post_init__(self) -> None:
        config = self.run.config
        self.loader = Loader(self.train, loader_config(config))
        self.labels = labels_in(config.classes, self.train.manifest.classes, self.train.folder)
        self.tx = make_tx(config, max(1, self.loader.steps_per_epoch))
        self.steps: CompiledSteps = compile_steps(
            lambda axis: make_network(config.network, len(config.classes), axis_name=axis),
            self.tx,
            self.devices,
            batch=config.batch,
            label_smoothing=config.label_smoothing,
            seed=config.seed,
        )

    def fit(self) -> None:
        """Train until all epochs are done; start from the last checkpoint, if there is one.

        Raises:
            StoppedError: after SIGINT or SIGTERM, and a checkpoint.
            SketchpipeError: shards or checkpoint are damaged.
        """
        config, run = self.run.config, self.run
        state, position = self._start()
        self._before = position.seconds
        self._began = time.perf_counter()
        state = self.steps.put_state(state)
        with _stop_signals() as stopped:
            for epoch in range(position.epoch, config.epochs):
                start = position.step if epoch == position.epoch else 0
                state, position = self._train_epoch(state, position, epoch, start, stopped)
                position, best = self._validate(state, position, epoch)
                run.save(self.steps.get_state(state), position, best=best)
                self._raise_if(stopped)
        run.finish()

    def _start(self) -> tuple[TrainState, Position]:
        config = self.run.config
        network = make_network(config.network, len(config.classes))
        state = jax.device_get(create_train_state(network, self.tx, seed=config.seed, image_size=config.image_size))
        last = self.run.checkpoint(best=False)
        return (state, Position(0, 0, 0.0)) if last is None else load_checkpoint(last, state)

    def _train_epoch(
        self, state: TrainState, position: Position, epoch: int, start: int, stopped: list[int]
    ) -> tuple[TrainState, Position]:
        feed = Feed(self.loader, self._put)
        meter = self._meter
        meter.restart(self.loader.waited_seconds)
        saved = time.perf_counter()
        with contextlib.closing(self.loader.epoch(epoch, start)) as batches:
            for batch, arrays in feed.batches(batches):
                state, metrics = self.steps.train_step(state, *arrays)
                feed.used(batch, metrics)
                meter.add(metrics)
                done = batch.step + 1
                if meter.due():
                    self.report(self._progress(epoch, done))
                if stopped or time.perf_counter() - saved > CHECKPOINT_SECONDS:
                    at = self._position(position, epoch, done)
                    self.run.save(self.steps.get_state(state), at, best=False)
                    saved = time.perf_counter()
                    self._raise_if(stopped)
        self.report(self._progress(epoch, self.loader.steps_per_epoch))
        return state, self._position(position, epoch + 1, 0)

    def _validate(self, state: TrainState, position: Position, epoch: int) -> tuple[Position, bool]:
        """Score the validation split; returns the position with its score, and whether it is the best so far."""
        metrics: dict[str, Any] = {"epoch": epoch, "seconds": position.seconds, **self._meter.epoch_means()}
        top1 = None
        if self.validation is not None:
            config = loader_config(self.run.config, batch=EVAL_BATCH)
            labels = labels_in(self.run.config.classes, self.validation.manifest.classes, self.validation.folder)
            variables = self.steps.variables(state)
            scores = score_batches(
                self.steps.eval_step, variables, Loader(self.validation, config), labels, self.run.config.classes,
                limit=VALIDATION_DRAWINGS,
            ).as_dict()  # fmt: skip
            top1 = scores["top1"]
            metrics |= {f"validation_{name}": scores[name] for name in ("top1", "top3", "map3", "drawings")}
        # Without validation the last is the best; of equals the earlier stays.
        best = top1 is None or position.best_top1 is None or top1 > position.best_top1
        self.run.log(metrics)
        self.epoch_done(metrics)
        best_top1 = top1 if best else position.best_top1
        seconds = self._seconds()
        return Position(position.epoch, position.step, seconds, top1, best_top1), best

    def _put(self, images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> list[jax.Array]:
        return self.steps.put_batch(images, self.labels[labels])

    def _position(self, before: Position, epoch: int, step: int) -> Position:
        return Position(epoch, step, self._seconds(), before.validation_top1, before.best_top1)

    def _seconds(self) -> float:
        return self._before + time.perf_counter() - self._began

    def _progress(self, epoch: int, done: int) -> Progress:
        config, steps = self.run.config, self.loader.steps_per_epoch
        loss, accuracy, rate, waiting = self._meter.read(config.batch, self.loader.waited_seconds)
        left = (config.epochs - epoch) * steps - done
        seconds = left * config.batch / rate if rate else float("inf")
        return Progress(epoch, config.epochs, done, steps, loss, accuracy, rate, waiting, seconds)

    def _raise_if(self, stopped: list[int]) -> None:
        if stopped:
            name = signal.Signals(stopped[0]).name
            raise StoppedError(stopped[0], f"stopped by {name}; {self.run.folder} goes on with the same command")


class _Meter:
    """Means of what the steps report, between two readings and over an epoch, without making the steps wait."""

    REPORT_SECONDS = 1.0

    def __init__(self) -> None:
        self._metrics: list[dict[str, jax.Array]] = []
        self._epoch: list[tuple[int, float, float]] = []

    def restart(self, waited: float) -> None:
        self._metrics, self._epoch = [], []
        self._since, self._waited = time.perf_counter(), waited

    def add(self, metrics: dict[str, jax.Array]) -> None:
        self._metrics.append(metrics)

    def due(self) -> bool:
        return time.perf_counter() - self._since > self.REPORT_SECONDS

    def read(self, batch: int, waited: float) -> tuple[float, float, float, float]:
        """Loss, accuracy, images a second and the share of waiting since the last reading."""
        loss = [float(np.mean(m["loss"])) for m in jax.device_get(self._metrics)]
        accuracy = [float(np.mean(m["accuracy"])) for m in jax.device_get(self._metrics)]
        now = time.perf_counter()
        elapsed = max(now - self._since, 1e-9)
        rate, waiting = len(loss) * batch / elapsed, (waited - self._waited) / elapsed
        if loss:
            self._epoch.append((len(loss), float(np.mean(loss)), float(np.mean(accuracy))))
        self._metrics, self._since, self._waited = [], now, waited
        _, last_loss, last_accuracy = self._epoch[-1] if self._epoch else (0, float("nan"), float("nan"))
        return last_loss, last_accuracy, rate, waiting

    def epoch_means(self) -> dict[str, float]:
        """Loss and accuracy over the epoch, or over what of it this process trained."""
        weights = [count for count, _, _ in self._epoch]
        if not weights:
            return {}
        return {
            "train_loss": float(np.average([loss for _, loss, _ in self._epoch], weights=weights)),
            "train_accuracy": float(np.average([accuracy for _, _, accuracy in self._epoch], weights=weights)),
        }


def loader_config(config: TrainConfig, batch: int | None = None) -> LoaderConfig:
    """How a run's drawings become batches; `batch` for evaluation, which never augments."""
    return LoaderConfig(
        batch or config.batch,
        size=config.image_size,
        line_width=config.line_width,
        augmentation=Augmentation() if config.augment and batch is None else None,
        seed=config.seed,
    )


def open_validation(train: ShardSplit) -> ShardSplit | None:
    """The validation split beside a training split; None where it has no drawings."""
    try:
        return open_split(train.folder, "validation")
    except InputError:
        return None


@contextlib.contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Gather SIGINT and SIGTERM in a list instead of dying of them; a second one kills as usual."""
    stopped: list[int] = []
    before: dict[int, Any] = {}

    def note(number: int, _frame: FrameType | None) -> None:
        stopped.append(number)
        signal.signal(number, before[number])

    for number in (int(signal.SIGINT), int(signal.SIGTERM)):
        before[number] = signal.signal(number, note)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
