"""Trains a run and prints its progress, for `sketchpipe train` and `sketchpipe sweep`."""

import gc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.cli.options import duration, say
from pipeline.cli.progress import Bar
from pipeline.interrupts import advising
from pipeline.threads import core_count
from pipeline.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import jax

    from model.config import TrainConfig
    from model.scoring.loaded import LoadedRun
    from model.training.choose import Choice
    from model.training.train import Progress

_STALLED = 0.1  # the share of the time spent waiting for data from which advice is given,
_STALLED_SECONDS = 10.0  # if it is at least this long, because the first batches of an epoch are always waited for
_STEPS = 10  # after which the speed is known


def train_run(
    choice: "Choice",
    devices: "Sequence[jax.Device]",
    *,
    start: "LoadedRun | None" = None,
    skip_corrupt: bool = False,
    alone: bool = True,
) -> None:
    """Train a run until its epochs are done, and print its progress on stderr.

    Args:
        choice: the run, its shards, and whether its folder is still to be made.
        devices: those to compute on; of a CPU's only as many are used as the batch can keep busy.
        start: the run whose weights a new run starts with.
        skip_corrupt: whether to skip row groups that cannot be read.
        alone: whether this is the only run of the command, so that its duration is estimated here.

    Raises:
        MismatchError: the run cannot start from those weights, or the shards have other classes.
        SketchpipeError: the shards are missing or damaged, or as `Trainer.fit` raises.
    """
    from model.compute.devices import describe
    from model.compute.kernels import RECORD, kernels_for, kernels_to_resume, last_kernels, training_devices
    from model.runs.card import stretches
    from model.training.train import Trainer
    from model.training.transfer import check_start
    from pipeline.shards.read import open_split

    run, config = choice.run, choice.run.config
    if start is not None:
        check_start(start, config)
    split = open_split(choice.shards, "train")
    kernels = kernels_for(config, devices)
    if choice.is_new:
        run = replace(run, card=replace(run.card, versions={**run.card.versions, RECORD: kernels}))
    else:
        recorded = run.card.versions.get(RECORD)
        kernels = kernels_to_resume(recorded, kernels)
        if kernels != last_kernels(recorded):
            say(f"{run.folder} was trained with kernels that are not used here ({last_kernels(recorded)}); it resumes "
                f"with others ({kernels}), and the weights will differ in their last bits")  # fmt: skip
    used = training_devices(kernels, config.batch, devices)
    trainer = Trainer(run, split, used, skip_corrupt, start, kernels)
    synthetic = " (synthetic sample)" if split.manifest.synthetic else ""
    doing = "training" if choice.is_new else "adding epochs to" if choice.adds_epochs else "resuming"
    say(f"{doing} {run.folder} on {describe(trainer.devices)}: "
        f"{config.network}, {counted(len(split), 'drawing')} of {len(config.classes)} classes{synthetic}, "
        f"{stretches(config.epochs, run.card.added)}, batch {config.batch}")  # fmt: skip
    if choice.is_new:
        run.create()
    if choice.adds_epochs:
        run.write_added(choice.replaces)
    say("compiling the train step")
    gc.set_threshold(700, 10, 10)  # Python's own again, which `main` raised for the imports: training takes hours
    line = TrainingLine(replace(config, epochs=run.epochs), tell_duration=alone)
    with line, advising(f"the same command resumes the {'run' if alone else 'sweep'}"):
        trainer.report, trainer.epoch_done, trainer.warn = line.report, line.epoch_done, line.say
        trainer.fit()


def found_shards() -> "Path":
    """The only folder of shards in shards/, whose name is printed on stderr."""
    from pipeline.shards.find import only_shards

    found = only_shards()
    say(f"shards: {found}")
    return found


class TrainingLine(Bar):
    """A line that shows the progress of an epoch, and one for the metrics of each epoch that is done.

    Args:
        config: of the run.
        tell_duration: whether to tell how long the run will take, once its speed is known.
        pause_seconds: as of `Bar`.
    """

    def __init__(
        self, config: "TrainConfig", *, tell_duration: bool = True, pause_seconds: float | None = None
    ) -> None:
        super().__init__(pause_seconds=pause_seconds)
        self._config = config
        self._told_duration, self._told_stall = not tell_duration, False
        self._skipped: dict[str, int] = {}

    def report(self, progress: "Progress") -> None:
        """Show where training stands; the first time that its speed is known, how long it will take."""
        reading, epochs, note = progress.reading, self._config.epochs, ""
        if reading.losses:
            note = f"loss {reading.loss:.3f}, accuracy {reading.accuracy:.1%}"
        if progress.seconds_left is not None:
            left, rate = f"{duration(progress.seconds_left)} left", f"{reading.images_per_second:,.0f} images/s"
            if not self._told_duration and progress.epoch * progress.steps + progress.step >= _STEPS:
                self._told_duration = True
                fewer, seconds = epochs // 2, progress.seconds_left * (epochs // 2) / epochs
                # Of a run that was resumed, the number of epochs is settled.
                shorter = f"; --epochs {fewer} would take {duration(seconds)}" if fewer and not progress.epoch else ""
                self.say(f"{rate}: about {left}{shorter}")
            note += f", {rate}, waiting for data {reading.waiting:.0%}, {left}"
        self(f"epoch {progress.epoch + 1}/{epochs}", progress.step, progress.steps, note=note)

    def epoch_done(self, metrics: dict[str, Any]) -> None:
        """Tell an epoch's metrics, how many drawings were skipped, and what to do if the network waits for data."""
        self.say(_epoch_line(metrics, self._config.epochs))
        skipped = metrics.get("skipped", {})
        for path, rows in skipped.items():
            if self._skipped.get(path) != rows:
                self.say(f"{path}: {counted(rows, 'drawing')} skipped as unreadable; `sketchpipe repair` restores them")
        self._skipped = skipped
        stalled = metrics.get("waiting", 0.0) > _STALLED and metrics["waiting_seconds"] > _STALLED_SECONDS
        if stalled and not self._told_stall:
            self._told_stall = True
            self.say(advice(self._config, metrics["waiting"], metrics["reading_seconds"], metrics["rendering_seconds"]))


def advice(config: "TrainConfig", waiting: float, reading_seconds: float, rendering_seconds: float) -> str:
    """What to do where so large a share of the time is spent waiting for data."""
    start = f"waiting for data {waiting:.0%} of the time: "
    if reading_seconds > rendering_seconds:
        return f"{start}reading shards is the limit; a faster disk would help, or memory for its cache"
    gray = "" if config.encoding == "gray" else ", or --encoding gray, which is drawn a quarter faster"
    return f"{start}rendering on {counted(core_count(), 'core')} is the limit; more cores would help{gray}"


def _epoch_line(metrics: dict[str, Any], epochs: int) -> str:
    parts = []
    if "train_loss" in metrics:
        parts.append(f"loss {metrics['train_loss']:.3f}, accuracy {metrics['train_accuracy']:.1%}")
    if "validation_top1" in metrics:
        parts.append(f"validation top-1 {metrics['validation_top1']:.1%}, top-3 {metrics['validation_top3']:.1%}")
    return f"epoch {metrics['epoch'] + 1}/{epochs}: {', '.join([*parts, duration(metrics['seconds'])])} so far"
