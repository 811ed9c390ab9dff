"""A run being trained, and what is told of it."""

from typing import TYPE_CHECKING, Any

from pipeline.cli.options import duration, say
from pipeline.cli.progress import Bar
from pipeline.threads import core_count
from pipeline.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import jax

    from model.config import TrainConfig
    from model.training.choice import Choice
    from model.training.train import Progress
    from model.training.transfer import Start

_STALLED = 0.1  # of the time waiting for data, from which advice is given,
_STALLED_SECONDS = 10.0  # if that is so long: the first batches of an epoch are always waited for
_STEPS = 10  # after which the speed is known


def train_run(
    choice: "Choice",
    devices: "Sequence[jax.Device]",
    *,
    start: "Start | None" = None,
    skip_corrupt: bool = False,
    alone: bool = True,
) -> None:
    """Train a run until its epochs are done, and tell of it on stderr.

    Args:
        choice: the run, its shards, and whether its folder is still to be made.
        devices: to compute on; of a CPU's as many are taken as its batch is worth.
        start: the run whose weights a new one begins with.
        skip_corrupt: whether to do without row groups that cannot be read.
        alone: whether no other run follows, of whose time the caller tells.

    Raises:
        SketchpipeError: as `Trainer.fit`.
    """
    from model.compute.devices import describe
    from model.training.prepare import prepare_training

    run, config = choice.run, choice.run.config
    trainer = prepare_training(choice, devices, start=start, skip_corrupt=skip_corrupt)
    synthetic = " (synthetic sample)" if trainer.train.manifest.synthetic else ""
    say(f"{'training' if choice.is_new else 'resuming'} {run.folder} on {describe(trainer.devices)}: "
        f"{config.network}, {len(trainer.train):,} drawings of {len(config.classes)} classes{synthetic}, "
        f"{config.epochs} epochs, batch {config.batch}")  # fmt: skip
    told = TrainingLine(config, tell_duration=alone)
    trainer.report, trainer.epoch_done, trainer.warn = told.report, told.epoch_done, told.warn
    if choice.is_new:
        run.create()
    say("compiling the train step ...")
    try:
        trainer.fit()
    finally:
        told.clear()


def found_shards() -> "Path":
    """The only folder of shards in shards/, which is then named on stderr."""
    from pipeline.shards.find import only_shards

    found = only_shards()
    say(f"shards: {found}")
    return found


class TrainingLine:
    """A line that shows how far it is, and one for each epoch.

    Args:
        config: of the run.
        tell_duration: whether to tell how long the run will take, once its speed is known.
    """

    def __init__(self, config: "TrainConfig", *, tell_duration: bool = True) -> None:
        self._config = config
        self._bar = Bar()
        self._told_duration, self._told_stall = not tell_duration, False
        self._skipped: dict[str, int] = {}

    def report(self, progress: "Progress") -> None:
        """Show where training stands; the first time that its speed is known, how long it will take."""
        steps = progress.epoch * progress.steps + progress.step
        if not self._told_duration and steps >= _STEPS and progress.images_per_second:
            self._told_duration = True
            shorter = "" if progress.epochs == 1 else f"; --epochs {max(1, progress.epochs // 2)} would take half"
            self.clear()
            say(f"{progress.images_per_second:,.0f} images/s: about {duration(progress.seconds_left)} left{shorter}")
        self._bar(f"epoch {progress.epoch + 1}/{progress.epochs}", progress.step, progress.steps, note=_note(progress))

    def epoch_done(self, metrics: dict[str, Any]) -> None:
        """Tell an epoch's metrics, what was left out, and what to do where the network waits for data."""
        self.clear()
        say(_epoch_line(metrics, self._config.epochs))
        for path, rows in metrics.get("skipped", {}).items():
            if self._skipped.get(path) != rows:
                say(
                    f"{path}: {counted(rows, 'drawing')} cannot be read and were left out; `sketchpipe repair` mends it"
                )
        self._skipped = metrics.get("skipped", {})
        stalled = metrics.get("waiting", 0.0) > _STALLED and metrics["waiting_seconds"] > _STALLED_SECONDS
        if stalled and not self._told_stall:
            self._told_stall = True
            say(advice(self._config, metrics["waiting"], metrics["reading_seconds"], metrics["rendering_seconds"]))

    def warn(self, message: str) -> None:
        """Tell of trouble that does not end the training."""
        self.clear()
        say(message)

    def clear(self) -> None:
        """Leave the line empty for what comes next."""
        self._bar.clear()


def advice(config: "TrainConfig", waiting: float, reading_seconds: float, rendering_seconds: float) -> str:
    """What to do where so large a share of the time is spent waiting for data."""
    start = f"waiting for data {waiting:.0%} of the time: "
    if reading_seconds > rendering_seconds:
        return f"{start}reading shards is the limit; a faster disk would help, or memory for its cache"
    gray = "" if config.encoding == "gray" else ", or --encoding gray, which is drawn a quarter faster"
    return f"{start}rendering on {counted(core_count(), 'core')} is the limit; more cores would help{gray}"


def _note(progress: "Progress") -> str:
    return (
        f"loss {progress.loss:.3f}, accuracy {progress.accuracy:.1%}, {progress.images_per_second:,.0f} images/s, "
        f"waiting for data {progress.waiting:.0%}, {duration(progress.seconds_left)} left"
    )


def _epoch_line(metrics: dict[str, Any], epochs: int) -> str:
    parts = []
    if "train_loss" in metrics:
        parts.append(f"loss {metrics['train_loss']:.3f}, accuracy {metrics['train_accuracy']:.1%}")
    if "validation_top1" in metrics:
        parts.append(f"validation top-1 {metrics['validation_top1']:.1%}, top-3 {metrics['validation_top3']:.1%}")
    return f"epoch {metrics['epoch'] + 1}/{epochs}: {', '.join([*parts, duration(metrics['seconds'])])} so far"
