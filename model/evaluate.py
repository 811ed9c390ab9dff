"""Scoring a run on shards: its own or others, whose classes are matched by word."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from model.checkpoint import Position, load_checkpoint
from model.feed import Feed
from model.metrics import Scores, add, score
from model.networks import make_network
from model.runs import Run
from model.steps import eval_step
from pipeline.errors import CheckpointError, MismatchError
from pipeline.loading.loader import Batch, Loader, LoaderConfig
from pipeline.shards.manifest import Manifest, read_manifest
from pipeline.shards.read import open_split
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


def load_network(run: Run) -> tuple[Callable[..., jax.Array], Any, Position]:
    """The compiled `eval_step` of a run, its variables and where its checkpoint stood.

    Raises:
        CheckpointError: there is no checkpoint, or it is damaged.
    """
    folder = run.checkpoint(best=True)
    if folder is None:
        raise CheckpointError(f"{run.folder}: has no checkpoint yet; go on with `sketchpipe train --resume`")
    state, position = load_checkpoint(folder)
    if (position.epoch, position.step) == (0, 0):
        raise CheckpointError(f"{run.folder}: not trained yet; go on with `sketchpipe train --resume`")
    network = make_network(run.config.network, len(run.config.classes))
    step = jax.jit(lambda variables, images: eval_step(variables, images, network=network))
    return step, {"params": state["params"], "batch_stats": state["batch_stats"]}, position


def score_batches(
    step: Callable[..., jax.Array],
    variables: Any,
    loader: Loader,
    labels: NDArray[np.int32],
    classes: tuple[str, ...],
    *,
    limit: int | None = None,
    mirror: Loader | None = None,
    see: Callable[[Batch, NDArray[np.float32]], None] | None = None,
) -> Scores:
    """Score the drawings of a loader's split once, or its first `limit` or a few more: full batches.

    With `mirror`, a loader of the same drawings mirrored, the mean of both probabilities is scored. `see` is shown
    each batch of `loader` and its logits, while its images last.
    """
    steps = None if limit is None else -(-limit // loader.config.batch)
    total = score(np.zeros((0, len(classes)), np.float32), np.zeros(0, np.int32), classes)
    passes = [_outputs(step, variables, loader, steps, see)]
    if mirror is not None:
        passes.append(_outputs(step, variables, mirror, steps))
    with contextlib.ExitStack() as stack:
        for one in passes:
            stack.enter_context(contextlib.closing(one))
        for outputs in zip(*passes, strict=True):
            seen, logits = outputs[0]
            if mirror is not None:
                both = [np.asarray(jax.nn.softmax(found, axis=-1), np.float64) for _, found in outputs]
                logits = np.log(np.mean(both, axis=0) + np.finfo(np.float64).tiny)
            total = add(total, score(logits, labels[seen], classes))
    return total


def _outputs(
    step: Callable[..., jax.Array],
    variables: Any,
    loader: Loader,
    steps: int | None,
    see: Callable[[Batch, NDArray[np.float32]], None] | None = None,
) -> Generator[tuple[NDArray[np.int32], NDArray[np.float32]], None, None]:
    """The shards' labels and the logits of each batch's drawings."""
    feed = Feed(loader, lambda images, *_: [jax.device_put(images)])
    with contextlib.closing(loader.once(steps)) as batches:
        for (batch,), ((images,),) in feed.batches(batches):
            logits = step(variables, images)
            if see is not None:
                see(batch, np.asarray(logits))
            yield batch.labels[batch.mask], np.asarray(logits)[batch.mask]
            feed.used([batch], logits)


def evaluate_run(run: Run, folder: Path, split: str, *, mirror: bool = False) -> Scores:
    """Score a run's best checkpoint on a split of the shards in `folder`, or on "all" of them, each drawing once.

    With `mirror` the mean of its probabilities for each drawing and for its mirror image is scored.

    Raises:
        MismatchError: the shards hold classes that the run does not know, or were split in another way.
        SketchpipeError: shards or checkpoint are missing or damaged.
    """
    step, variables, _ = load_network(run)
    variables = jax.device_put(variables)
    config = run.config
    loader_config = LoaderConfig(EVAL_BATCH, render=config.render_config())
    total = score(np.zeros((0, len(config.classes)), np.float32), np.zeros(0, np.int32), config.classes)
    for name in [split] if split != "all" else [name for name in SPLITS if read_manifest(folder).rows(name)]:
        opened = open_split(folder, name)
        if split != "all":
            check_splits(run, opened.manifest, folder)
        labels = labels_in(config.classes, opened.manifest.classes, folder)
        loader = Loader(opened, loader_config)
        mirrored = Loader(opened, replace(loader_config, mirrored=True)) if mirror else None
        total = add(total, score_batches(step, variables, loader, labels, config.classes, mirror=mirrored))
    return total
