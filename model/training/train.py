"""Trains a run: steps, validation and checkpoints; a stopped run resumes at the exact step."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from model.compute.feed import Feed
from model.compute.kernels import RECORD, compile_step, prepare, record_of, training_network
from model.compute.steps import CompiledSteps, TrainState, compile_steps, create_train_state
from model.kernels.choice import LAX
from model.networks import make_network
from model.runs.checkpoint import Position
from model.runs.folder import Run
from model.runs.state import load_checkpoint
from model.scoring.evaluate import EVAL_BATCH, See, labels_in, score_batches
from model.scoring.loaded import LoadedRun
from model.scoring.metrics import Scores
from model.training.memory import explained_out_of_memory
from model.training.meter import Meter, Reading
from model.training.optimizer import make_schedule, make_tx
from model.training.stopping import StopSignals, TrainingStoppedError, name_of, stop_signals
from model.training.tensorboard.open_writer import open_writer
from model.training.tensorboard.writer import Session, Writer
from model.training.transfer import started
from pipeline.errors import DivergedError, InputError
from pipeline.loading.loader import Batch, Loader, LoaderConfig
from pipeline.shards.read import ShardSplit, open_split
from pipeline.wording import counted

VALIDATION_DRAWINGS = 20_000
CHECKPOINT_SECONDS = 300.0


@dataclass(frozen=True)
class Progress:
    """The progress of a training, reported about once a second.

    Attributes:
        epoch: the current epoch, from 0.
        step: the steps done in this epoch.
        steps: the steps of one epoch.
        reading: the metrics of the steps since the last report.
        seconds_left: the time left for the whole run, at the present speed; None if no step was done since then, or if
            the steps included a first call, which compiles.
    """

    epoch: int
    step: int
    steps: int
    reading: Reading
    seconds_left: float | None


@dataclass
class Trainer:
    """Trains one run, and scores it on the validation split of the same shards if that has drawings.

    Attributes:
        run: the run, whose folder keeps its checkpoints and metrics.
        train: the training split.
        devices: one device computes under jit, several under pmap.
        start: another run, with whose weights this run starts; used only until this run has a checkpoint of its own.
        kernels: what `kernels_for` chose; our own kernels compute on one device, whose threads they share.
        skip_corrupt: whether to skip row groups that cannot be read.
        report: called with a `Progress` about once a second.
        epoch_done: called after each epoch with its metrics, as they are written to `metrics.jsonl`.
        warn: called with a line about each problem that does not end the training.
    """

    run: Run
    train: ShardSplit
    devices: Sequence[jax.Device]
    skip_corrupt: bool = False
    start: LoadedRun | None = None
    kernels: str = LAX
    report: Callable[[Progress], None] = lambda _progress: None
    epoch_done: Callable[[dict[str, Any]], None] = lambda _metrics: None
    warn: Callable[[str], None] = lambda _message: None

    def __post_init__(self) -> None:
        config = self.run.config
        self.loader = Loader(self.train, self._loader_config())
        validation = open_validation(self.train)
        self._scored = None if validation is None else Loader(validation, self._loader_config(batch=EVAL_BATCH))
        self.labels = labels_in(config.classes, self.train.manifest.classes, self.train.folder)
        self._steps_per_epoch = max(1, len(self.loader))
        self._writer = Writer()
        self.tx = make_tx(config, self._steps_per_epoch, self.run.card.added)
        self.steps: CompiledSteps = compile_steps(
            training_network(config, self.kernels),
            self.tx,
            self.devices,
            batch=config.batch,
            label_smoothing=config.label_smoothing,
            seed=config.seed,
            evaluated=make_network(config.network, len(config.classes)),
        )

    def fit(self) -> None:
        """Train until all epochs are done; resume from the last checkpoint, if there is one.

        Raises:
            TrainingStoppedError: SIGINT or SIGTERM came, and a checkpoint was saved; the run may be finished.
            DivergedError: the loss or a weight is not finite; `run.json` records it, and no such weights are saved.
            UsageError: the batch does not fit into the devices' memory; the message says which batch would fit.
            SketchpipeError: the shards or the checkpoint are damaged, another process is training the run, or the
                run's folder cannot be written.
        """
        explained = explained_out_of_memory(self.run.config, self.devices, self.kernels)
        with self.run.locked(), stop_signals() as stopped, explained:
            prepare(self.kernels, self.run.config.network)
            self.run.update_format()
            self.run.note_version(RECORD, record_of(self.run.card.versions.get(RECORD), self.kernels))
            state, position = self._start()
            step = position.epoch * self._steps_per_epoch + position.step
            self._writer = open_writer(
                Session(self.run, self._steps_per_epoch, step, position.seconds, self._learning_rate, self.warn)
            )
            self._before, self._began = position.seconds, time.perf_counter()
            state = self.steps.put_state(state)
            self._compile(state)
            for epoch in range(position.epoch, self.run.epochs):
                self._raise_if(stopped)
                state, position = self._train_epoch(state, position, stopped)
                try:
                    position, best = self._validate(state, position, epoch, stopped)
                except TrainingStoppedError:  # the resumed run validates after its last step
                    self._save(state, self._position(position, epoch, self._steps_per_epoch), best=False)
                    raise
                position = self._save(state, position, best=best)
            self.run.finish()
        if stopped:  # the signal came while the run was being finished: its caller must not begin another one
            raise TrainingStoppedError(stopped[0], f"stopped by {name_of(stopped)}; {self.run.folder} is finished")

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
            if self.start is None or self.start.arrays_sha256 != config.start:
                raise InputError(
                    f"{self.run.folder}: it has no checkpoint yet; name the run that it starts from with --start"
                )
            state = started(state, self.start, config.classes)
            position = self.run.save(state, position, best=False)  # so that resuming does not need the other run
        return state, position

    def _compile(self, state: TrainState) -> None:
        """Compile what the first train step would not, because signals wait for compilations once that step is done."""
        self._score(state, limit=1)
        self._learning_rate(0)
        if self.kernels != LAX:
            compile_step(self.steps.train_steps, state, *self._empty_batch())
        if len(self.loader) % self.steps.fused:  # the last batches of an epoch, which are trained on one by one
            copy = self.steps.put_state(self.steps.get_state(state))  # its buffers are donated
            self.steps.train_steps(copy, *self._empty_batch())

    def _empty_batch(self) -> list[tuple[jax.Array]]:
        config, render = self.run.config, self.run.config.render_config()
        images = np.zeros((config.batch, render.size, render.size, render.channels), np.uint8)
        return [(array,) for array in self._put(images, np.zeros(config.batch, np.int32))]

    def _train_epoch(self, state: TrainState, position: Position, stopped: StopSignals) -> tuple[TrainState, Position]:
        feed = Feed(self.loader, self._put, self.steps.fused)
        meter = self._meter = Meter(self.run.config.batch, self.loader.times, position)
        saved = time.perf_counter()
        epoch, steps = position.epoch, len(self.loader)
        with contextlib.closing(self.loader.epoch(epoch, position.step)) as batches:
            for group, arrays in feed.batches(batches):
                state, metrics = self.steps.train_steps(state, *arrays)
                stopped.delay()
                self._writer.add_training_batch(self.labels, group[0])
                feed.used(group, metrics)
                meter.add(metrics)
                done = group[-1].step + 1
                if meter.due():
                    self.report(self._progress(epoch, done))
                if stopped or time.perf_counter() - saved > CHECKPOINT_SECONDS:
                    self._progress(epoch, done)  # waits for the steps up to here, whose sums the checkpoint holds
                    self._save(state, self._position(position, epoch, done), best=False)
                    saved = time.perf_counter()
                    self._raise_if(stopped)
        self.report(self._progress(epoch, steps))
        return state, self._position(position, epoch + 1, 0)

    def _validate(self, state: TrainState, position: Position, epoch: int, stopped: list[int]) -> tuple[Position, bool]:
        """Score the validation split; returns the position with its score, and whether it is the best so far."""
        done = (epoch + 1) * self._steps_per_epoch
        metrics: dict[str, Any] = {"epoch": epoch, "step": done, "seconds": position.seconds, **self._meter.means()}
        metrics["learning_rate"] = self._learning_rate(done - 1)

        def see(batch: Batch, logits: NDArray[np.float32]) -> None:
            self._raise_if(stopped)
            self._writer.add_validation_batch(epoch, self.labels, batch, logits)

        scores, top1, corrupt = self._score(state, VALIDATION_DRAWINGS, see), None, self.loader.corrupt
        if self._scored is not None and scores is not None:
            corrupt |= self._scored.corrupt
            found = scores.as_dict()
            top1 = found["top1"]
            metrics |= {f"validation_{name}": found[name] for name in ("loss", "top1", "top3", "map3", "drawings")}
        if corrupt:
            metrics["skipped"] = {str(path): rows for path, rows in corrupt.items()}
        # Without validation the last checkpoint is the best; of equal ones the earlier stays the best.
        best = top1 is None or position.best_top1 is None or top1 > position.best_top1
        self.run.log(metrics)
        self.epoch_done(metrics)
        self._writer.add_epoch(metrics, scores)
        best_top1 = top1 if best else position.best_top1
        position = dataclasses.replace(position, seconds=self._seconds(), validation_top1=top1, best_top1=best_top1)
        return position, best

    def _score(self, state: TrainState, limit: int, see: See | None = None) -> Scores | None:
        """Score the validation split, whose labels are those of the training split; None if it has no drawings."""
        if self._scored is None:
            return None
        step, variables, classes = self.steps.eval_step, self.steps.variables(state), self.run.config.classes
        return score_batches(step, variables, self._scored, self.labels, classes, limit=limit, see=see)

    def _save(self, state: TrainState, position: Position, *, best: bool) -> Position:
        host = self.steps.get_state(state)
        # A loss is computed before its step changes the weights, so the weights of a checkpoint must be checked too.
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(host)):
            raise self._diverged(f"a weight is not finite after {counted(int(host.step), 'step')}")
        return self.run.save(host, position, best=best)

    def _loader_config(self, batch: int | None = None) -> LoaderConfig:
        """The loader's settings: for training, or without augmentation for evaluation in batches of `batch`."""
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
        sums = (self._meter.loss_sum, self._meter.accuracy_sum) if step else (None, None)
        return dataclasses.replace(
            before, epoch=epoch, step=step, seconds=self._seconds(), loss_sum=sums[0], accuracy_sum=sums[1]
        )

    def _seconds(self) -> float:
        return self._before + time.perf_counter() - self._began

    def _progress(self, epoch: int, done: int) -> Progress:
        config, steps = self.run.config, len(self.loader)
        reading = self._meter.read()
        self._writer.add_reading(epoch * steps + done, reading)
        for step, loss in enumerate(reading.losses, start=done - len(reading.losses) + 1):
            if not math.isfinite(loss):
                raise self._diverged(f"the loss is {loss} in step {step} of epoch {epoch + 1}")
        left, rate = (self.run.epochs - epoch) * steps - done, reading.images_per_second
        known = reading.is_steady and rate
        return Progress(epoch, done, steps, reading, left * config.batch / rate if known else None)

    def _learning_rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0 over the whole run."""
        lr = make_schedule(self.run.config, self._steps_per_epoch, self.run.card.added)
        return float(lr(step) if callable(lr) else lr)

    def _diverged(self, what: str) -> DivergedError:
        self.run.note_divergence(what)
        last, start = self.run.last_checkpoint(), f" and --start {self.run.folder}" if self.run.card.added else ""
        kept = "it has no checkpoint from before" if last is None else f"its last good checkpoint is {last}"
        return DivergedError(
            f"{self.run.folder}: {what}; {kept}; train another run with an --lr below {self.run.lr:g}{start}"
        )

    def _raise_if(self, stopped: list[int]) -> None:
        if stopped:
            command = "the same command"
            if self.start is not None:  # the run that it started from may have changed by then
                command = f"`sketchpipe train --resume --run {self.run.folder}`"
            name, folder = name_of(stopped), self.run.folder
            raise TrainingStoppedError(stopped[0], f"stopped by {name}; resume {folder} with {command}")


def open_validation(train: ShardSplit) -> ShardSplit | None:
    """The validation split of the same shards as a training split; None if it has no drawings."""
    try:
        return open_split(train.folder, "validation")
    except InputError:
        return None
