"""A run as TensorBoard shows it: curves, drawings, confusion matrix, in the run's folders `train` and `validation`.

An epoch's numbers are those of its line in `metrics.jsonl`, at the step that ended it, so that curves that were lost or
never written can be drawn from there.
"""

import contextlib
import io
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.summary import text

from model.config import TrainConfig
from model.runs.folder import Run
from model.runs.overview import number
from model.scoring.metrics import Scores
from model.training.meter import Reading
from model.training.tensorboard.board import Board
from model.training.tensorboard.events import EventFile, read_events, write_events
from pipeline.arrays import Int64Array, UInt8Array
from pipeline.loading.loader import Batch
from pipeline.pictures.captions import PLAIN, RIGHT, WRONG, Caption, captioned_grid
from pipeline.pictures.matrix import matrix_picture

# By folder: the tag, its name in metrics.jsonl. TensorBoard groups charts by what stands before the stroke.
SCALARS = {
    "train": {
        "epoch/loss": "train_loss",
        "epoch/top1": "train_accuracy",
        "epoch/learning_rate": "learning_rate",
        "epoch/images_per_second": "images_per_second",
        "epoch/waiting": "waiting",
    },
    "validation": {
        "epoch/loss": "validation_loss",
        "epoch/top1": "validation_top1",
        "epoch/top3": "validation_top3",
        "epoch/map3": "validation_map3",
    },
}
_MEANINGS = {
    "loss": "Cross entropy, in nats. Training: mean over the epoch, of augmented drawings, with label smoothing and "
    "dropout. Validation: after the epoch, without any of these.",
    "top1": "Share of drawings whose best label is the true one. Training: of augmented drawings, over the epoch.",
    "top3": "Share of drawings whose true label is among the best three.",
    "map3": "Mean of 1, 1/2 or 1/3 for a true label in first, second or third place.",
    "learning_rate": "Of the last step.",
    "images_per_second": "Drawings trained a second.",
    "waiting": "Share of the time that the devices waited for data.",
}
POINTS = 20  # an epoch, of the curves within it
PICTURES = 8  # epochs at most with pictures, beside the first: TensorBoard shows ten of a tag
DRAWINGS = 30  # a picture
CONFUSIONS = 20  # that are listed


class Summaries(Board):
    """Writes a run's event files; `open_board` says what its arguments are."""

    def __init__(
        self,
        run: Run,
        steps_per_epoch: int,
        step: int,
        seconds: float,
        rate: Callable[[int], float],
        warn: Callable[[str], None],
    ) -> None:
        self._run, self._steps_per_epoch, self._rate, self._warn = run, steps_per_epoch, rate, warn
        self._began = time.time() - seconds
        self._warned = self._has_drawings = False
        self._files: dict[str, EventFile] | None = None
        self._readings: list[tuple[int, Reading]] = []
        self._validated: UInt8Array | None = None
        with self._harmless():
            self._begin(step)

    def add_training_batch(self, labels: NDArray[np.int32], batch: Batch) -> None:
        """The drawings of the first step of some epochs."""
        with self._harmless():
            if (batch.step == 0 and self._is_shown(batch.epoch)) or not self._has_drawings:
                self._has_drawings = True
                classes = self._run.config.classes
                captions = [[(classes[label], PLAIN)] for label in labels[batch.labels[:DRAWINGS]]]
                grid = captioned_grid(batch.images[:DRAWINGS], captions)
                step = batch.epoch * self._steps_per_epoch + batch.step + 1
                self._append("train", step, [_image("pictures/drawings", grid)])

    def add_reading(self, step: int, reading: Reading) -> None:
        """Means over a twentieth of an epoch."""
        with self._harmless():
            if reading.losses:
                self._readings.append((step, reading))
            steps = [len(one.losses) for _, one in self._readings]
            if sum(steps) * POINTS < self._steps_per_epoch or not steps:
                return
            readings = [one for _, one in self._readings]
            rates = np.array([one.images_per_second for one in readings])
            seconds = np.array(steps) / rates  # but for the batch's size
            values = {
                "loss": np.average([one.loss for one in readings], weights=steps),
                "top1": np.average([one.accuracy for one in readings], weights=steps),
                "learning_rate": self._rate(step - 1),
                "images_per_second": np.average(rates, weights=seconds),
                "waiting": np.average([one.waiting for one in readings], weights=seconds),
            }
            self._readings = []
            self._append("train", step, [_scalar(f"step/{name}", float(value)) for name, value in values.items()])

    def add_validation_batch(
        self, epoch: int, labels: NDArray[np.int32], batch: Batch, logits: NDArray[np.float32]
    ) -> None:
        """The first drawings of the split, what they are, and what they are taken for."""
        with self._harmless():
            if batch.step or not self._is_shown(epoch):
                return
            some = np.flatnonzero(batch.mask)[:DRAWINGS]
            classes = self._run.config.classes
            with np.errstate(invalid="ignore"):  # of weights that diverged, as the trainer will say
                chances = np.exp(logits[some] - logits[some].max(axis=1, keepdims=True))
            chances /= chances.sum(axis=1, keepdims=True)
            captions: list[list[Caption]] = []
            for label, row in zip(labels[batch.labels[some]], chances, strict=True):
                best = int(row.argmax())
                named = f"{row[best]:.0%} {classes[best]}"
                captions.append([(classes[label], PLAIN), (named, RIGHT if best == label else WRONG)])
            self._validated = captioned_grid(batch.images[some], captions)

    def add_epoch(self, metrics: dict[str, Any], scores: Scores | None) -> None:
        """An epoch's numbers; after some epochs pictures as well."""
        with self._harmless():
            epoch = metrics["epoch"]
            step = self._step(metrics)
            if self._files is None:  # there may be room again
                self._begin(step - 1)
            validation = _scalars("validation", metrics)
            if scores is not None and self._is_shown(epoch):
                words = self._run.config.classes
                validation.append(_image("pictures/confusion", matrix_picture(scores.confusion, words)))
                validation.append(_text("confusions", confusions_table(scores.confusion, words)))
                if self._validated is not None:
                    validation.append(_image("pictures/drawings", self._validated))
            self._validated = None
            self._append("train", step, _scalars("train", metrics))
            self._append("validation", step, validation)

    def _begin(self, step: int) -> None:
        """Write the files anew: what they hold up to a step, and what they lack of it."""
        files: dict[str, EventFile] = {}
        lines = [line for line in self._run.metrics() if self._step(line) <= step]
        for name in SCALARS:
            folder = self._run.folder / name
            events = read_events(folder, step)
            there = {(value.tag, event.step) for event in events for value in event.summary.value}
            for line in lines:
                at = self._step(line)
                lacking = [value for value in _scalars(name, line) if (value.tag, at) not in there]
                events += _events(at, lacking, self._began + (number(line, "seconds") or 0.0))
            if name == "train":
                self._has_drawings = any(tag == "pictures/drawings" for tag, _ in there)
                configuration = _text("configuration", configuration_table(self._run.config))
                if (configuration.tag, 0) not in there:
                    events += _events(0, [configuration], self._began)
            if events:
                files[name] = write_events(folder, sorted(events, key=lambda event: event.step))
        self._files = files

    def _append(self, name: str, step: int, values: Sequence[Any]) -> None:
        """Append values to the file in a folder, unless an error has taken it."""
        events = _events(step, values, time.time())
        files = self._files
        if files is None or not events:
            return
        if name in files:
            files[name].append(events)
        else:
            files[name] = write_events(self._run.folder / name, events)

    @contextlib.contextmanager
    def _harmless(self) -> Iterator[None]:
        """What fails is told once and ends no training."""
        try:
            yield
        except Exception as error:  # whatever it is: a picture is worth no training
            self._files = None
            if not self._warned:
                self._warned = True
                place, why = self._run.folder, f"{type(error).__name__}: {error}"
                if isinstance(error, OSError):
                    place, why = error.filename or place, error.strerror or why
                self._warn(f"{place}: TensorBoard's files cannot be written ({why}); training goes on")

    def _is_shown(self, epoch: int) -> bool:
        """Whether an epoch has pictures: the first, the last, and some between."""
        epochs = self._run.config.epochs
        every = -(-epochs // PICTURES)
        return epoch == 0 or epoch == epochs - 1 or (epoch + 1) % every == 0

    def _step(self, metrics: dict[str, Any]) -> int:
        """The steps done after the epoch of a line of `metrics.jsonl`."""
        return int((metrics["epoch"] + 1) * self._steps_per_epoch)


def configuration_table(config: TrainConfig) -> str:
    """A configuration in Markdown."""
    rows = [(name, value) for name, value in asdict(config).items() if name != "classes"]
    table = _table(("setting", "value"), [(name, str(value)) for name, value in rows])
    return f"{table}\n\n{len(config.classes)} classes: {_escaped(', '.join(config.classes))}"


def confusions_table(confusion: Int64Array, words: Sequence[str]) -> str:
    """What is most often taken for what, in Markdown: by share of its class, of equal shares by drawings."""
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    off = confusion * (1 - np.eye(len(words), dtype=np.int64))
    order = np.lexsort((-off.ravel(), -(shares * (off > 0)).ravel()))[:CONFUSIONS]
    found = [divmod(int(place), len(words)) for place in order if off.ravel()[place]]
    if not found:
        return "Nothing was taken for anything else."
    rows = [(words[i], words[j], f"{shares[i, j]:.0%}", f"{off[i, j]} of {confusion[i].sum()}") for i, j in found]
    return _table(("what it is", "what it was called", "of its class", "drawings"), rows)


def _scalars(name: str, metrics: dict[str, Any]) -> list[Any]:
    """The values of a folder that a line of `metrics.jsonl` has."""
    found = {tag: number(metrics, source) for tag, source in SCALARS[name].items()}
    return [_scalar(tag, value) for tag, value in found.items() if value is not None]


def _scalar(tag: str, value: float) -> Any:
    meaning = _MEANINGS[tag.split("/")[1]]
    plugin = SummaryMetadata.PluginData(plugin_name="scalars")
    metadata = SummaryMetadata(display_name=tag, summary_description=meaning, plugin_data=plugin)
    return Summary.Value(tag=tag, simple_value=value, metadata=metadata)


def _image(tag: str, image: UInt8Array) -> Any:
    png = io.BytesIO()
    Image.fromarray(image).save(png, format="PNG")
    height, width, channels = image.shape
    encoded = Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=png.getvalue())
    return Summary.Value(tag=tag, image=encoded)


def _text(tag: str, markdown: str) -> Any:
    return text(tag, markdown).value[0]


def _events(step: int, values: Sequence[Any], wall_time: float) -> list[Any]:
    """One event of all values, where there are any."""
    return [Event(step=step, wall_time=wall_time, summary=Summary(value=values))] if values else []


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(map(_escaped, row)) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def _escaped(words: str) -> str:
    """As Markdown shows it, letter by letter."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", words)
