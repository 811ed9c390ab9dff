"""Scoring a run on shards: its own or others, whose classes are matched by word."""

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
from model.runs.folder import Run
from model.scoring.loaded import LoadedRun
from model.scoring.metrics import Scores, add, mean_log_probabilities, score
from pipeline.arrays import Float64Array
from pipeline.errors import MismatchError
from pipeline.loading.loader import Batch, Loader, LoaderConfig
from pipeline.shards.manifest import Manifest, read_manifest
from pipeline.shards.read import ShardSplit, open_split
from pipeline.shards.shuffle import SPLITS

EVAL_BATCH = 256


def labels_in(classes: Sequence[str], shard_classes: Sequence[str], folder: Path) -> NDArray[np.int32]:
    """(K,) int32, the run's label of each label of the shards.

    Raises:
        MismatchError: the shards hold a class that the run does not know.
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


def check_splits(run: Run, manifest: Manifest, folder: Path) -> None:
    """Refuse shards that were split in another way, whose test split holds drawings that the run was trained on.

    Raises:
        MismatchError: they were.
    """
    splits = manifest.options["splits"]
    if run.card.splits is not None and splits != run.card.splits:
        raise MismatchError(
            f"{folder}: split {splits}, but {run.folder} was trained on shards split {run.card.splits}: what it was "
            f"trained on may be in any split here; build them with --splits {run.card.splits}, or say --split all"
        )


@dataclass(frozen=True)
class Look:
    """What a network makes of N drawings of a split.

    Attributes:
        rows: (N,) int64, theirs in the split.
        labels: (N,) int32, the run's.
        logits: (N, K) float32, one array of the drawings, and a second of their mirror images.
        temperature: by which logits are divided before they become probabilities.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int32]
    logits: tuple[NDArray[np.float32], ...]
    temperature: float = 1.0

    @functools.cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """(N, K) float32, rows that sum to 1: the mean over drawings and their mirror images."""
        return self.probabilities_at(self.temperature)

    @functools.cached_property
    def ranked(self) -> NDArray[np.float32] | Float64Array:
        """(N, K), the more the better, finer than probabilities, which may all be 0: logits, or of two their mean's."""
        return self.logits[0] if len(self.logits) == 1 else mean_log_probabilities(self.logits, self.temperature)

    def probabilities_at(self, temperature: float) -> NDArray[np.float32]:
        """The probabilities at another temperature."""
        return np.mean([jax.nn.softmax(logits / np.float32(temperature), axis=-1) for logits in self.logits], axis=0)

    def scores(self, classes: tuple[str, ...]) -> Scores:
        """The scores of these drawings."""
        return score(self.ranked, self.labels, classes, self.temperature if len(self.logits) == 1 else 1.0)


Visitor = Callable[[ShardSplit, Look], None]
See = Callable[[Batch, NDArray[np.float32]], None]  # is shown a batch while its images last, and its logits


def looks(
    step: Callable[..., jax.Array],
    variables: Any,
    loader: Loader,
    labels: NDArray[np.int32],
    *,
    limit: int | None = None,
    mirror: Loader | None = None,
    temperature: float = 1.0,
    see: See | None = None,
) -> Generator[Look, None, None]:
    """Look at the drawings of a loader's split once, or at its first `limit` or a few more: full batches.

    Args:
        step: the compiled `eval_step`.
        variables: the network's.
        loader: of the drawings.
        labels: (K,) int32, the run's label of each label of the shards.
        limit: drawings.
        mirror: a loader of the same drawings mirrored, which are looked at too.
        temperature: of the probabilities.
        see: is shown each batch of `loader`.
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
            yield Look(batch.rows[batch.mask], labels[batch.labels[batch.mask]], logits, temperature)


def score_batches(
    step: Callable[..., jax.Array],
    variables: Any,
    loader: Loader,
    labels: NDArray[np.int32],
    classes: tuple[str, ...],
    *,
    limit: int | None = None,
    mirror: Loader | None = None,
    see: See | None = None,
) -> Scores:
    """Score the drawings of a loader's split, as `looks` finds them."""
    total = score(np.zeros((0, len(classes)), np.float32), np.zeros(0, np.int32), classes)
    for look in looks(step, variables, loader, labels, limit=limit, mirror=mirror, see=see):
        total = add(total, look.scores(classes))
    return total


def _outputs(
    step: Callable[..., jax.Array], variables: Any, loader: Loader, steps: int | None, see: See | None = None
) -> Generator[tuple[Batch, NDArray[np.float32]], None, None]:
    """Each batch, its images not to be read, and the logits of its drawings."""
    feed = Feed(loader, lambda images, *_: [jax.device_put(images)])
    with contextlib.closing(loader.once(steps)) as batches:
        for (batch,), ((images,),) in feed.batches(batches):
            logits = step(variables, images)
            if see is not None:
                see(batch, np.asarray(logits))
            yield batch, np.asarray(logits)[batch.mask]
            feed.used([batch], logits)


def look_at(
    loaded: LoadedRun, folder: Path, split: str, *, mirror: bool = False, limit: int | None = None
) -> Generator[tuple[ShardSplit, Look], None, None]:
    """What a run makes of a split of the shards in `folder`, or of "all", each drawing once.

    Args:
        loaded: the run, whose temperature the probabilities have.
        folder: the shards.
        split: train, validation, test or all.
        mirror: whether to look at each drawing's mirror image too.
        limit: drawings of each split, or a few more; all where it is None.

    Raises:
        MismatchError: the shards hold classes that the run does not know, or were split in another way.
        SketchpipeError: the shards are missing or damaged.
    """
    run, variables = loaded.run, jax.device_put(loaded.variables)
    config = LoaderConfig(EVAL_BATCH, render=run.config.render_config())
    for name in splits_of(folder, split):
        opened = open_split(folder, name)
        if split != "all":
            check_splits(run, opened.manifest, folder)
        labels = labels_in(run.config.classes, opened.manifest.classes, folder)
        mirrored = Loader(opened, replace(config, mirrored=True)) if mirror else None
        loader = Loader(opened, config)
        for look in looks(
            loaded.step, variables, loader, labels, limit=limit, mirror=mirrored, temperature=loaded.temperature
        ):
            yield opened, look


def splits_of(folder: Path, split: str) -> list[str]:
    """The one split, or of "all" those that have drawings."""
    return [split] if split != "all" else [name for name in SPLITS if read_manifest(folder).rows(name)]


def evaluate_run(
    loaded: LoadedRun, folder: Path, split: str, *, mirror: bool = False, visitors: Sequence[Visitor] = ()
) -> Scores:
    """Score what `look_at` finds, whose arguments and errors these are; each visitor is shown every look.

    With `mirror` the mean of the probabilities for each drawing and for its mirror image is scored.
    """
    classes = loaded.run.config.classes
    total = score(np.zeros((0, len(classes)), np.float32), np.zeros(0, np.int32), classes)
    with contextlib.closing(look_at(loaded, folder, split, mirror=mirror)) as found:
        for opened, look in found:
            total = add(total, look.scores(classes))
            for visit in visitors:
                visit(opened, look)
    return total
