"""Writes a run's curves, drawings and confusion matrix for TensorBoard.

The files are in the run's folders `train` and `validation`. The numbers of an epoch are those of its line in
`metrics.jsonl`, at the epoch's last step. So curves that were lost or never written are restored from that file.
"""

import contextlib
import io
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.summary import text

from model.config import TrainConfig
from model.runs.overview import number
from model.scoring.metrics import Scores
from model.training.meter import Reading
from model.training.tensorboard.events import EventFile, read_events, write_events
from model.training.tensorboard.writer import Session, Writer
from pipeline.arrays import Int64Array, UInt8Array
from pipeline.loading.loader import Batch
from pipeline.pictures.captions import PLAIN, RIGHT, WRONG, Caption, captioned_grid
from pipeline.pictures.matrix import matrix_picture, row_shares

# For each folder, TensorBoard's tags and their names in metrics.jsonl. TensorBoard groups charts by the part of a tag
# before the slash.
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
    "loss": "Cross entropy, in nats. Training: the mean over the epoch, on augmented drawings, with label smoothing "
    "and dropout. Validation: after the epoch, without any of these.",
    "top1": "Share of drawings whose most probable label is the true one. Training: on augmented drawings, over the "
    "epoch.",
    "top3": "Share of drawings whose true label is among the three most probable.",
    "map3": "Mean over drawings of 1, 1/2 or 1/3 if the true label is in first, second or third place, otherwise 0.",
    "learning_rate": "Learning rate of the last step.",
    "images_per_second": "Drawings trained on per second.",
    "waiting": "Share of the time that training waited for data.",
}
POINTS = 20  # points per epoch of the curves within an epoch
PICTURES = 8  # the most epochs with pictures, not counting the first: TensorBoard shows ten of a tag
DRAWINGS = 30  # drawings in a picture
CONFUSIONS = 20  # rows in the table of confusions
MATRIX_CLASSES = 1024  # with more classes there is no matrix, whose picture would take more than 12 MB


class SummaryWriter(Writer):
    """Writes a run's event files."""

    def __init__(self, session: Session) -> None:
        self._session, self._run = session, session.run
        self._began = time.time() - session.seconds
        self._warned = self._has_drawings = False
        self._files: dict[str, EventFile] | None = None  # None: an error has ended the writing
        self._readings: list[tuple[int, Reading]] = []
        self._validated: UInt8Array | None = None
        with self._errors_reported():
            self._begin(session.step)

    def add_training_batch(self, labels: NDArray[np.int32], batch: Batch) -> None:
        """Write the drawings of the first step of some epochs."""
        with self._errors_reported():
            if (batch.step == 0 and self._has_pictures(batch.epoch)) or not self._has_drawings:
                self._has_drawings = True
                classes = self._run.config.classes
                captions = [[(classes[label], PLAIN)] for label in labels[batch.labels[:DRAWINGS]]]
                grid = captioned_grid(batch.images[:DRAWINGS], captions)
                step = batch.epoch * self._session.steps_per_epoch + batch.step + 1
                self._append("train", step, [_image("pictures/drawings", grid)])

    def add_reading(self, step: int, reading: Reading) -> None:
        """Write means over a twentieth of an epoch."""
        with self._errors_reported():
            if reading.losses:
                self._readings.append((step, reading))
            steps = [len(one.losses) for _, one in self._readings]
            if sum(steps) * POINTS < self._session.steps_per_epoch or not steps:
                return
            readings = [one for _, one in self._readings]
            rated = [one for one in readings if one.is_steady] or readings
            rates = np.array([one.images_per_second for one in rated])
            # Times the batch's size, which makes no difference to the means.
            seconds = np.array([len(one.losses) for one in rated]) / rates
            values = {
                "loss": np.average([one.loss for one in readings], weights=steps),
                "top1": np.average([one.accuracy for one in readings], weights=steps),
                "learning_rate": self._session.learning_rate(step - 1),
                "images_per_second": np.average(rates, weights=seconds),
                "waiting": np.average([one.waiting for one in rated], weights=seconds),
            }
            self._readings = []
            self._append("train", step, [_scalar(f"step/{name}", float(value)) for name, value in values.items()])

    def add_validation_batch(
        self, epoch: int, labels: NDArray[np.int32], batch: Batch, logits: NDArray[np.float32]
    ) -> None:
        """Keep a picture of the first drawings of the split, with their true and their predicted classes."""
        with self._errors_reported():
            if batch.step or not self._has_pictures(epoch):
                return
            some = np.flatnonzero(batch.mask)[:DRAWINGS]
            classes = self._run.config.classes
            with np.errstate(invalid="ignore"):  # from weights that diverged, which the trainer will report
                chances = np.exp(logits[some] - logits[some].max(axis=1, keepdims=True))
            chances /= chances.sum(axis=1, keepdims=True)
            captions: list[list[Caption]] = []
            for label, row in zip(labels[batch.labels[some]], chances, strict=True):
                best = int(row.argmax())
                named = f"{row[best]:.0%} {classes[best]}"
                captions.append([(classes[label], PLAIN), (named, RIGHT if best == label else WRONG)])
            self._validated = captioned_grid(batch.images[some], captions)

    def add_epoch(self, metrics: dict[str, Any], scores: Scores | None) -> None:
        """Write an epoch's numbers, and after some epochs pictures as well."""
        with self._errors_reported():
            epoch = metrics["epoch"]
            step = self._step(metrics)
            if self._files is None:  # the disk may have free space again
                self._begin(step - 1)
            validation = _scalars("validation", metrics)
            if scores is not None and self._has_pictures(epoch):
                words = self._run.config.classes
                if len(words) <= MATRIX_CLASSES:
                    validation.append(_image("pictures/confusion", matrix_picture(scores.confusion, words)))
                    validation.append(_text("confusions", confusions_table(scores.confusion, words)))
                if self._validated is not None:
                    validation.append(_image("pictures/drawings", self._validated))
            self._validated = None
            self._append("train", step, _scalars("train", metrics))
            self._append("validation", step, validation)

    def _begin(self, step: int) -> None:
        """Rewrite the files: their events up to a step, and those of `metrics.jsonl` that they lack."""
        files: dict[str, EventFile] = {}
        lines = [line for line in self._run.metrics() if self._step(line) <= step]
        for name in SCALARS:
            folder = self._run.folder / name
            events = read_events(folder, step)
            present = {(value.tag, event.step) for event in events for value in event.summary.value}
            for line in lines:
                at = self._step(line)
                missing = [value for value in _scalars(name, line) if (value.tag, at) not in present]
                events += _events(at, missing, self._began + (number(line, "seconds") or 0.0))
            if name == "train":
                self._has_drawings = any(tag == "pictures/drawings" for tag, _ in present)
                configuration = _text("configuration", configuration_table(self._run.config))
                if (configuration.tag, 0) not in present:
                    events += _events(0, [configuration], self._began)
            if events:
                files[name] = write_events(folder, sorted(events, key=lambda event: event.step))
        self._files = files

    def _append(self, name: str, step: int, values: Sequence[Any]) -> None:
        """Append values to the file in a folder, unless an error has ended the writing."""
        events = _events(step, values, time.time())
        files = self._files
        if files is None or not events:
            return
        if name in files:
            files[name].append(events)
        else:
            files[name] = write_events(self._run.folder / name, events)

    @contextlib.contextmanager
    def _errors_reported(self) -> Iterator[None]:
        """Report the first error, and let the training continue after any."""
        try:
            yield
        except Exception as error:  # of any kind: no picture is worth ending a training
            self._files = None
            if not self._warned:
                self._warned = True
                place, why = self._run.folder, f"{type(error).__name__}: {error}"
                if isinstance(error, OSError):
                    place, why = error.filename or place, error.strerror or why
                self._session.warn(f"{place}: TensorBoard's files cannot be written ({why}); training continues")

    def _has_pictures(self, epoch: int) -> bool:
        """Whether an epoch has pictures: the first, the last, and some in between."""
        epochs = self._run.epochs
        every = -(-epochs // PICTURES)
        return epoch == 0 or epoch == epochs - 1 or (epoch + 1) % every == 0

    def _step(self, metrics: dict[str, Any]) -> int:
        """The number of steps done at the end of the epoch of a line of `metrics.jsonl`."""
        return int((metrics["epoch"] + 1) * self._session.steps_per_epoch)


def configuration_table(config: TrainConfig) -> str:
    """A configuration as a table in Markdown."""
    rows = [(name, value) for name, value in asdict(config).items() if name != "classes"]
    table = _table(("setting", "value"), [(name, str(value)) for name, value in rows])
    return f"{table}\n\n{len(config.classes)} classes: {_escaped(', '.join(config.classes))}"


def confusions_table(confusion: Int64Array, words: Sequence[str]) -> str:
    """The most frequent confusions in Markdown, sorted by their share of the true class, then by their drawings."""
    shares = row_shares(confusion)
    off = confusion * (1 - np.eye(len(words), dtype=np.int64))
    order = np.lexsort((-off.ravel(), -(shares * (off > 0)).ravel()))[:CONFUSIONS]
    found = [divmod(int(place), len(words)) for place in order if off.ravel()[place]]
    if not found:
        return "Every drawing was predicted correctly."
    rows = [(words[i], words[j], f"{shares[i, j]:.0%}", f"{off[i, j]} of {confusion[i].sum()}") for i, j in found]
    return _table(("true class", "predicted class", "share of the true class", "drawings"), rows)


def _scalars(name: str, metrics: dict[str, Any]) -> list[Any]:
    """The values for a folder from a line of `metrics.jsonl`."""
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
    """One event with all the values; no event if there are none."""
    return [Event(step=step, wall_time=wall_time, summary=Summary(value=values))] if values else []


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(map(_escaped, row)) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def _escaped(words: str) -> str:
    """The text escaped for Markdown, so that each character is shown as it is."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", words)
