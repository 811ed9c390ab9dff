"""Training a run: epochs of steps, validation, checkpoints, and resuming exactly where it stopped."""

import contextlib
import dataclasses
import math
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from model.compute.feed import Feed
from model.compute.optimizer import make_schedule, make_tx
from model.compute.steps import CompiledSteps, TrainState, compile_steps, create_train_state
from model.networks import make_network
from model.runs.checkpoint import Position
from model.runs.folder import Run
from model.runs.state import load_checkpoint
from model.scoring.evaluate import EVAL_BATCH, labels_in, score_batches
from model.training.memory import room_told
from model.training.meter import Meter
from model.training.stopping import TrainingStoppedError, stop_signals
from model.training.tensorboard.board import Board
from model.training.tensorboard.opening import open_board
from model.training.transfer import Start, started
from pipeline.errors import DivergedError, InputError
from pipeline.loading.loader import Loader, LoaderConfig
from pipeline.shards.read import ShardSplit, open_split

VALIDATION_DRAWINGS = 20_000
CHECKPOINT_SECONDS = 300.0


@dataclass(frozen=True)
class Progress:
    """Where training stands, about once a second.

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
        start: the checkpoint of another run that this one begins with; needed before its own first one alone.
        skip_corrupt: whether to do without row groups that cannot be read.
        report: is told `Progress` about once a second.
        epoch_done: is told each epoch's metrics, as they stand in `metrics.jsonl`.
        warn: is told, in a line, of trouble that does not end the training.
    """

    run: Run
    train: ShardSplit
    validation: ShardSplit | None
    devices: Sequence[jax.Device]
    skip_corrupt: bool = False
    start: Start | None = None
    report: Callable[[Progress], None] = lambda _progress: None
    epoch_done: Callable[[dict[str, Any]], None] = lambda _metrics: None
    warn: Callable[[str], None] = lambda _message: None

    def __post_init__(self) -> None:
        config = self.run.config
        self.loader = Loader(self.train, self._loader_config())
        self._scored: Loader | None = None
        if self.validation is not None:
            self._scored = Loader(self.validation, self._loader_config(batch=EVAL_BATCH))
        self.labels = labels_in(config.classes, self.train.manifest.classes, self.train.folder)
        self._steps_per_epoch = max(1, self.loader.steps_per_epoch)
        self._board = Board()
        self.tx = make_tx(config, self._steps_per_epoch)
        self.steps: CompiledSteps = compile_steps(
            lambda axis: make_network(
                config.network, len(config.classes), axis_name=axis, dtype=jnp.dtype(config.precision)
            ),
            self.tx,
            self.devices,
            batch=config.batch,
            label_smoothing=config.label_smoothing,
            seed=config.seed,
        )

    def fit(self) -> None:
        """Train until all epochs are done; start from the last checkpoint, if there is one.

        Raises:
            TrainingStoppedError: after SIGINT or SIGTERM, and a checkpoint; the run may be done.
            DivergedError: the loss or a weight is not finite; `run.json` says so, its checkpoints are from before.
            UsageError: the devices have no room for the batch; the message says which would fit.
            SketchpipeError: shards or checkpoint are damaged, another process trains it, or it cannot be written.
        """
        with self.run.locked(), stop_signals() as stopped, room_told(self.run.config, self.devices):
            state, position = self._start()
            self._board = open_board(
                self.run,
                steps_per_epoch=self._steps_per_epoch,
                step=position.epoch * self._steps_per_epoch + position.step,
                seconds=position.seconds,
                rate=self._learning_rate,
                warn=self.warn,
            )
            self._before, self._began = position.seconds, time.perf_counter()
            state = self.steps.put_state(state)
            for epoch in range(position.epoch, self.run.config.epochs):
                self._raise_if(stopped)
                state, position = self._train_epoch(state, position, stopped)
                position, best = self._validate(state, position, epoch)
                position = self._save(state, position, best=best)
            self.run.finish()
            if stopped:  # while it was finished: what would come next must not
                raise TrainingStoppedError(stopped[0], f"stopped by {_name_of(stopped)}; {self.run.folder} is done")

    def _start(self) -> tuple[TrainState, Position]:
        config = self.run.config
        network = make_network(config.network, len(config.classes))
        render = config.render_config()
        state = jax.device_get(
            create_train_state(network, self.tx, seed=config.seed, image_size=render.size, channels=render.channels)
        )
        last = self.run.checkpoint(best=False)
        if last is not None:
            state, position = load_checkpoint(last, state)
            self.run.prune(last.name, position.best)
            return state, position
        position = Position(0, 0, 0.0)
        if config.start is not None:
            if self.start is None or self.start.digest != config.start:
                raise InputError(f"{self.run.folder}: not begun yet; name the run it starts from with --start")
            state = started(state, self.start, config.classes)
            position = self.run.save(state, position, best=False)  # so that it is resumed without the other run
        return state, position

    def _train_epoch(self, state: TrainState, position: Position, stopped: list[int]) -> tuple[TrainState, Position]:
        feed = Feed(self.loader, self._put, self.steps.fused)
        meter = self._meter = Meter(self.run.config.batch, self.loader.times)
        saved = time.perf_counter()
        epoch, steps = position.epoch, self.loader.steps_per_epoch
        with contextlib.closing(self.loader.epoch(epoch, position.step)) as batches:
            for group, arrays in feed.batches(batches):
                state, metrics = self.steps.train_steps(state, *arrays)
                self._board.add_training_batch(self.labels, group[0])
                feed.used(group, metrics)
                meter.add(metrics)
                done = group[-1].step + 1
                if meter.due():
                    self.report(self._progress(epoch, done))
                if stopped or time.perf_counter() - saved > CHECKPOINT_SECONDS:
                    self._save(state, self._position(position, epoch, done), best=False)
                    saved = time.perf_counter()
                    self._raise_if(stopped)
        self.report(self._progress(epoch, steps))
        return state, self._position(position, epoch + 1, 0)

    def _validate(self, state: TrainState, position: Position, epoch: int) -> tuple[Position, bool]:
        """Score the validation split; returns the position with its score, and whether it is the best so far."""
        done = (epoch + 1) * self._steps_per_epoch
        metrics: dict[str, Any] = {"epoch": epoch, "step": done, "seconds": position.seconds, **self._meter.means()}
        metrics["learning_rate"] = self._learning_rate(done - 1)
        scores, top1, corrupt = None, None, self.loader.corrupt
        if self._scored is not None:
            validation, classes = self._scored.split, self.run.config.classes
            labels = labels_in(classes, validation.manifest.classes, validation.folder)
            variables = self.steps.variables(state)
            scores = score_batches(
                self.steps.eval_step,
                variables,
                self._scored,
                labels,
                classes,
                limit=VALIDATION_DRAWINGS,
                see=partial(self._board.add_validation_batch, epoch, labels),
            )
            corrupt |= self._scored.corrupt
            found = scores.as_dict()
            top1 = found["top1"]
            metrics |= {f"validation_{name}": found[name] for name in ("loss", "top1", "top3", "map3", "drawings")}
        if corrupt:
            metrics["skipped"] = {str(path): rows for path, rows in corrupt.items()}
        # Without validation the last is the best; of equals the earlier stays.
        best = top1 is None or position.best_top1 is None or top1 > position.best_top1
        self.run.log(metrics)
        self.epoch_done(metrics)
        self._board.add_epoch(metrics, scores)
        best_top1 = top1 if best else position.best_top1
        position = dataclasses.replace(position, seconds=self._seconds(), validation_top1=top1, best_top1=best_top1)
        return position, best

    def _save(self, state: TrainState, position: Position, *, best: bool) -> Position:
        host = self.steps.get_state(state)
        # A loss shows what the step before did: the weights that a checkpoint keeps need a check of their own.
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(host)):
            raise self._diverged(f"a weight is not finite after {int(host.step)} steps")
        return self.run.save(host, position, best=best)

    def _loader_config(self, batch: int | None = None) -> LoaderConfig:
        """How drawings become batches; `batch` for evaluation, which never augments."""
        config = self.run.config
        return LoaderConfig(
            batch or config.batch,
            render=config.render_config(),
            augmentation=config.augmentation() if batch is None else None,
            seed=config.seed,
            skip_corrupt=self.skip_corrupt,
        )

    def _put(self, images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> list[jax.Array]:
        return self.steps.put_batch(images, self.labels[labels])

    def _position(self, before: Position, epoch: int, step: int) -> Position:
        return dataclasses.replace(before, epoch=epoch, step=step, seconds=self._seconds())

    def _seconds(self) -> float:
        return self._before + time.perf_counter() - self._began

    def _progress(self, epoch: int, done: int) -> Progress:
        config, steps = self.run.config, self.loader.steps_per_epoch
        reading = self._meter.read()
        self._board.add_reading(epoch * steps + done, reading)
        for step, loss in enumerate(reading.losses, start=done - len(reading.losses) + 1):
            if not math.isfinite(loss):
                raise self._diverged(f"the loss is {loss} in step {step} of epoch {epoch + 1}")
        rate = reading.images_per_second
        left = (config.epochs - epoch) * steps - done
        seconds = left * config.batch / rate if rate else float("inf")
        return Progress(
            epoch, config.epochs, done, steps, reading.loss, reading.accuracy, rate, reading.waiting, seconds
        )

    def _learning_rate(self, step: int) -> float:
        """Of the step before which so many of the run were done."""
        lr = make_schedule(self.run.config, self._steps_per_epoch)
        return float(lr(step) if callable(lr) else lr)

    def _diverged(self, what: str) -> DivergedError:
        self.run.note_divergence(what)
        last = self.run.last_checkpoint()
        kept = "no checkpoint was written before" if last is None else f"its last good state is {last}"
        return DivergedError(
            f"{self.run.folder}: {what}; {kept}; train another run with an --lr below {self.run.config.lr:g}"
        )

    def _raise_if(self, stopped: list[int]) -> None:
        if stopped:
            command = "the same command"
            if self.start is not None:  # whose run may have changed by then
                command = f"`sketchpipe train --resume --run {self.run.folder}`"
            raise TrainingStoppedError(
                stopped[0], f"stopped by {_name_of(stopped)}; resume {self.run.folder} with {command}"
            )


def _name_of(stopped: list[int]) -> str:
    return signal.Signals(stopped[0]).name


def open_validation(train: ShardSplit) -> ShardSplit | None:
    """The validation split beside a training split; None where it has no drawings."""
    try:
        return open_split(train.folder, "validation")
    except InputError:
        return None
