"""`build_shards`, the library's form of `build_folder`: takes paths and keyword settings, and prints nothing."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, Unpack

from pipeline.progress import Progress, untold
from pipeline.shards.estimate import check_space
from pipeline.shards.folder import build_folder
from pipeline.shards.manifest import Manifest
from pipeline.shards.options import BuildOptions, worker_count
from pipeline.storage.local import local_path
from pipeline.wording import visible


class BuildSettings(TypedDict, total=False):
    """Keywords of `build_shards`: attributes of `BuildOptions`, which says what they mean and their defaults."""

    drawings_per_class: int | None
    skip_per_class: int
    recognized_only: bool
    num_shards: int | None
    splits: str
    seed: int
    leave_out: tuple[int, ...]


def build_shards(
    sources: str | Path | Sequence[str | Path],
    to: str | Path,
    *,
    classes: Sequence[str] | None = None,
    workers: int | None = None,
    strict: bool = False,
    keep_going: bool = False,
    force: bool = False,
    progress: Progress = untold,
    **settings: Unpack[BuildSettings],
) -> Manifest:
    """Build shards as `sketchpipe shards` does; does nothing if sources and settings have not changed.

    A warning says what a folder holds beside sources, or how the splits of sketch-rnn's files are treated.

    Args:
        sources: files, folders or globs, of any format that `sketchpipe shards` takes.
        to: the folder for the shards.
        classes: the words to take; None takes every word.
        workers: threads; None takes the machine's cores. Their number changes no byte of the shards.
        strict: whether the first reject is an error. Without it the manifest counts the rejects, and `rejects.ndjson`
            in the folder lists them.
        keep_going: whether a damaged gzip member, zstd frame or array and all after it in its file is left out and
            counted. Without it such damage is an error.
        force: whether to build even if nothing has changed.
        progress: is called repeatedly with the step and how much of it is done.
        **settings: attributes of `BuildOptions`.

    Returns:
        The manifest of the shards.

    Raises:
        SketchpipeError: the build failed, and the message says why; the folder is unchanged.
    """
    texts = [str(one) for one in ([sources] if isinstance(sources, str | Path) else sources)]
    chosen = None if classes is None else (classes,) if isinstance(classes, str) else tuple(classes)
    options, folder = BuildOptions(chosen, **settings), local_path(to)
    messages: list[str] = []
    manifest, _ = build_folder(
        texts, folder, options, workers=worker_count(workers), strict=strict, keep_going=keep_going, force=force,
        progress=progress, begin=lambda found: check_space(folder, found, options), tell=messages.append,
    )  # fmt: skip
    for message in messages:
        warnings.warn(visible(message), stacklevel=2)
    return manifest
