"""Scores a run on its own shards or on others, whose classes are matched by word."""

import contextlib
import functools
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from model.compute.feed import Feed
from model.scoring.loaded import LoadedRun
from model.scoring.metrics import Scores, mean_log_probabilities, score
from model.scoring.reliability import Reliability, reliability
from pipeline.arrays import Float64Array
from pipeline.errors import MismatchError
from pipeline.loading.loader import Batch, Loader, LoaderConfig
from pipeline.progress import Progress, untold
from pipeline.shards.manifest import read_manifest
from pipeline.shards.read import ShardSplit, open_split
from pipeline.shards.shuffle import SPLITS

EVAL_BATCH = 256


def labels_in(classes: Sequence[str], shard_classes: Sequence[str], folder: Path) -> NDArray[np.int32]:
    """(K,) int32, the run's label for each label of the shards.

    Raises:
        MismatchError: the shards have a class that the run does not know.
    """
    label = {word: k for k, word in enumerate(classes)}
    unknown = [word for word in shard_classes if word not in label]
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise MismatchError(
            f"{folder}: its classes {', '.join(unknown[:3])}{more} are none of the run's {len(label)}; "
            "build shards of the run's classes with `sketchpipe shards --classes`"
        )
    return np.array([label[word] for word in shard_classes], np.int32)


@dataclass(frozen=True)
class Predictions:
    """A network's predictions for N drawings of a split.

    Attributes:
        rows: (N,) int64, the rows of the drawings in the split.
        labels: (N,) int32, their true labels, as the run numbers its classes.
        logits: (N, K) float32, an array for the drawings, and maybe a second one for their mirror images.
        temperature: the number by which logits are divided before the softmax.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int32]
    logits: tuple[NDArray[np.float32], ...]
    temperature: float = 1.0

    @functools.cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """(N, K) float32, rows that sum to 1: the mean over a drawing and its mirror image, if that was predicted."""
        return self.probabilities_at(self.temperature)

    @functools.cached_property
    def ranked(self) -> NDArray[np.float32] | Float64Array:
        """(N, K), values to rank the classes by: logits, or log probabilities of the mean with a mirror image.

        Unlike probabilities, which may all round to 0, they keep the order of unlikely classes.
        """
        return self.logits[0] if len(self.logits) == 1 else mean_log_probabilities(self.logits, self.temperature)

    def probabilities_at(self, temperature: float) -> NDArray[np.float32]:
        """The probabilities at another temperature."""
        return np.mean([jax.nn.softmax(logits / np.float32(temperature), axis=-1) for logits in self.logits], axis=0)

    def scores(self, classes: tuple[str, ...]) -> Scores:
        """The scores of these drawings."""
        return score(self.ranked, self.labels, classes, self.temperature if len(self.logits) == 1 else 1.0)

    def reliability(self) -> Reliability:
        """The counts of these drawings by confidence."""
        best = self.ranked.argmax(axis=1)
        return reliability(self.probabilities[np.arange(len(best)), best], best == self.labels)


@dataclass(frozen=True)
class Evaluation:
    """A run scored on a split.

    Attributes:
        loaded: the run.
        shards: the folder of shards.
        split: train, validation, test or all.
        mirror: whether each drawing's mirror image was predicted too.
        scores: the scores of the probabilities.
        reliability: how well the probabilities are calibrated.
    """

    loaded: LoadedRun
    shards: Path
    split: str
    mirror: bool
    scores: Scores
    reliability: Reliability

    def as_dict(self) -> dict[str, Any]:
        """The evaluation as JSON."""
        return {
            "run": str(self.loaded.run.folder), "shards": str(self.shards), "split": self.split, "mirror": self.mirror,
            "temperature": self.loaded.temperature, "ece": self.reliability.ece,
            "interval": list(self.scores.interval), **self.scores.as_dict(),
        }  # fmt: skip


See = Callable[[Batch, NDArray[np.float32]], None]  # is given a batch, while its images are valid, and its logits


def predict_batches(
    step: Callable[..., jax.Array],
    variables: Any,
    loader: Loader,
    labels: NDArray[np.int32],
    *,
    limit: int | None = None,
    mirror: Loader | None = None,
    temperature: float = 1.0,
    see: See | None = None,
) -> Generator[Predictions, None, None]:
    """Predict each drawing of a loader's split once, or only the first batches that hold `limit` drawings.

    Args:
        step: the compiled `eval_step`.
        variables: the network's variables.
        loader: the loader of the drawings.
        labels: (K,) int32, the run's label for each label of the shards.
        limit: the number of drawings to predict; None predicts all.
        mirror: a loader of the same drawings mirrored, which are predicted too.
        temperature: the temperature of the probabilities.
        see: called with each batch of `loader` and its logits.
    """
    steps = None if limit is None else -(-limit // loader.config.batch)
    passes = [_outputs(step, variables, loader, steps, see)]
    if mirror is not None:
        passes.append(_outputs(step, variables, mirror, steps))
    with contextlib.ExitStack() as stack:
        for one in passes:
            stack.enter_context(contextlib.closing(one))
        for outputs in zip(*passes, strict=True):
            batch = outputs[0][0]
            logits = tuple(found for _, found in outputs)
            yield Predictions(batch.rows[batch.mask], labels[batch.labels[batch.mask]], logits, temperature)


def score_batches(
    step: Callable[..., jax.Array],
    variables: Any,
    loader: Loader,
    labels: NDArray[np.int32],
    classes: tuple[str, ...],
    *,
    limit: int | None = None,
    see: See | None = None,
) -> Scores:
    """Score the drawings of a loader's split; the arguments are those of `predict_batches`."""
    predicted = predict_batches(step, variables, loader, labels, limit=limit, see=see)
    return sum((found.scores(classes) for found in predicted), Scores.of_none(classes))


def _outputs(
    step: Callable[..., jax.Array], variables: Any, loader: Loader, steps: int | None, see: See | None = None
) -> Generator[tuple[Batch, NDArray[np.float32]], None, None]:
    """Each batch, whose images are no longer valid, and the logits of its drawings."""
    feed = Feed(loader, lambda images, *_: [jax.device_put(images)])
    with contextlib.closing(loader.once(steps)) as batches:
        for (batch,), ((images,),) in feed.batches(batches):
            logits = step(variables, images)
            if see is not None:
                see(batch, np.asarray(logits))
            yield batch, np.asarray(logits)[batch.mask]
            feed.used([batch], logits)


def predict_split(
    loaded: LoadedRun, folder: Path, split: str, *, mirror: bool = False, limit: int | None = None
) -> Generator[tuple[ShardSplit, Predictions], None, None]:
    """Predict each drawing of a split of the shards in `folder` once, or with "all" of every split.

    Args:
        loaded: the run; its temperature is used.
        folder: the folder of shards.
        split: train, validation, test or all.
        mirror: whether to predict each drawing's mirror image too.
        limit: the number of drawings of each split, rounded up to full batches; None predicts all.

    Raises:
        MismatchError: the shards have classes that the run does not know, or were split in another way.
        CheckpointError: the network computes values that are not finite.
        SketchpipeError: the shards are missing or damaged.
    """
    run, variables = loaded.run, jax.device_put(loaded.variables)
    config = LoaderConfig(EVAL_BATCH, render=run.config.render_config())
    for name in splits_of(folder, split):
        opened = open_split(folder, name)
        if split != "all":
            run.check_splits(opened.manifest, folder)
        labels = labels_in(run.config.classes, opened.manifest.classes, folder)
        mirrored = Loader(opened, replace(config, mirrored=True)) if mirror else None
        loader = Loader(opened, config)
        for found in predict_batches(
            loaded.step, variables, loader, labels, limit=limit, mirror=mirrored, temperature=loaded.temperature
        ):
            for logits in found.logits:
                loaded.finite(logits)
            yield opened, found


def splits_of(folder: Path, split: str) -> list[str]:
    """The splits to predict: the one that is named, or with "all" each split that has drawings."""
    return [split] if split != "all" else [name for name in SPLITS if read_manifest(folder).rows(name)]


def evaluate_run(
    loaded: LoadedRun,
    folder: Path,
    split: str,
    *,
    mirror: bool = False,
    visit: Callable[[ShardSplit, Predictions], None] | None = None,
    progress: Progress = untold,
) -> Evaluation:
    """Score the predictions of `predict_split`, which explains the other arguments and the errors.

    With `mirror`, the mean of the probabilities of each drawing and of its mirror image is scored. `visit` is
    called with all predictions, batch by batch; `progress` counts drawings.
    """
    scores, counts = Scores.of_none(loaded.run.config.classes), reliability([], [])
    with contextlib.closing(predict_split(loaded, folder, split, mirror=mirror)) as predicted:
        for opened, found in predicted:
            scores += found.scores(scores.classes)
            counts += found.reliability()
            if visit is not None:
                visit(opened, found)
            total = sum(map(opened.manifest.rows, SPLITS if split == "all" else (split,)))
            progress(split, int(counts.drawings.sum()), total, unit="drawings")
    return Evaluation(loaded, folder, split, mirror, scores, counts)
