"""Builds shards into a folder: skips an unchanged one, and keeps the old shards until the new ones are complete."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from pipeline.errors import InputError, LockedError, OutputError, SketchpipeError
from pipeline.progress import Progress, untold
from pipeline.shards.build import Build
from pipeline.shards.estimate import Estimate, estimate_build, refuse_lack_of_space
from pipeline.shards.foresight import foresee_refusals
from pipeline.shards.manifest import MANIFEST, REJECTS, SHARD_NAME, SHARDS, Manifest, read_manifest
from pipeline.shards.options import USUAL_SIZES, BuildOptions, BuildSizes
from pipeline.shards.origin import PIPE, Origin, origin_of, read_origin
from pipeline.sources.files import SAMPLE_MARK, SKETCH_RNN, Source, find_sources
from pipeline.storage.commit import BUILD, LOCK, foreign_entries, locked, refuse_foreign
from pipeline.storage.local import local_path
from pipeline.storage.locks import holder_of
from pipeline.storage.outputs import check_place


def build_folder(
    inputs: Sequence[str] | Sequence[Source],
    folder: Path,
    options: BuildOptions,
    *,
    workers: int = 1,
    strict: bool = False,
    force: bool = False,
    sizes: BuildSizes = USUAL_SIZES,
    progress: Progress = untold,
    begin: Callable[[Sequence[Source]], object] = lambda _sources: None,
    tell: Callable[[str], object] = lambda _message: None,
) -> tuple[Manifest, bool]:
    """Build shards of the drawings in `inputs` into `folder`; returns the manifest and whether anything was built.

    A build that was killed or interrupted is resumed where it stopped, if inputs and options are still the same. If the
    inputs no longer exist but the shards that were built from them are complete, those shards are kept.

    Args:
        inputs: files, folders and globs, or the sources themselves in their order.
        folder: the target; it is created, or holds an earlier build.
        options: the options on which the shards depend.
        workers: threads.
        strict: whether the first reject is an error.
        force: whether to build even if nothing has changed.
        sizes: how much is done at a time.
        progress: is called with the bytes read so far, and then with the drawings written so far.
        begin: is called with the sources before the build begins.
        tell: is called with a message for each folder of inputs that holds other files too, and with one about files of
            sketch-rnn's.

    Raises:
        SketchpipeError: the build failed, and the message says why; the folder is unchanged.
    """
    folder = local_path(folder)
    SHARDS.finish_pending(folder)
    sources = _sources_or_built(inputs, folder, options, force, tell)
    if isinstance(sources, Manifest):
        return sources, False
    synthetic = all((source.path.parent / SAMPLE_MARK).exists() for source in sources)
    refuse_foreign(folder, _foreign_in)
    with locked(folder):
        SHARDS.roll_forward(folder)
        refuse_foreign(folder, _foreign_in)
        origin = origin_of(sources, options)
        if not force and (before := _unchanged(folder, origin, strict)) is not None:
            SHARDS.discard(folder)
            return before, False
        begin(sources)
        with SHARDS.placing(folder):
            manifest = Build(
                sources, options, folder, synthetic=synthetic, workers=workers, strict=strict,
                sizes=sizes, work=asdict(origin), progress=progress,
            ).run()  # fmt: skip
            SHARDS.commit(folder, _names(folder), json.dumps(asdict(origin)))
        return manifest, True


def foresee_build(
    inputs: Sequence[str],
    folder: Path,
    options: BuildOptions,
    *,
    strict: bool = False,
    force: bool = False,
    tell: Callable[[str], object] = lambda _message: None,
) -> Estimate | Manifest:
    """Estimate a build, or raise the error with which it would end, as far as the beginnings of its sources show.

    Nothing is written. The arguments are those of `build_folder`.

    Returns:
        The estimate; or the manifest of the shards that are there, if nothing would be built.

    Raises:
        SketchpipeError: the build would be refused, and the message says why.
    """
    folder = local_path(folder)
    sources = _sources_or_built(inputs, folder, options, force, tell)
    if isinstance(sources, Manifest):
        return sources
    refuse_foreign(folder, _foreign_in)
    if (pid := holder_of(folder / BUILD / LOCK)) is not None:
        raise LockedError(f"{folder}: process {pid} is writing it; wait for it to end")
    if not force and (before := _unchanged(folder, origin_of(sources, options), strict)) is not None:
        return before
    lock = folder / BUILD / LOCK
    try:
        check_place(lock)
    except OutputError as error:
        raise OutputError(f"{folder}: {str(error).removeprefix(f'{lock}: ')}") from error
    foresee_refusals(sources, options, strict=strict)
    estimate = estimate_build(sources, options)
    refuse_lack_of_space(folder, estimate)
    return estimate


def _sources_or_built(
    inputs: Sequence[str] | Sequence[Source], folder: Path, options: BuildOptions, force: bool,
    tell: Callable[[str], object],
) -> list[Source] | Manifest:  # fmt: skip
    """The sources; or, if they no longer exist, the manifest of the complete shards that were built from them."""
    sources = [source for source in inputs if isinstance(source, Source)]
    texts = [text for text in inputs if isinstance(text, str)]
    try:
        sources = sources or find_sources(texts, options.classes, tell)
    except InputError:
        if force or (orphaned := _built_of_lost(texts, folder, options)) is None:
            raise
        return orphaned
    if any(source.path.name.lower().endswith(SKETCH_RNN) for source in sources):
        tell("sketch-rnn's train, valid and test are read together; the splits of the shards are drawn by hash")
    return sources


def _unchanged(folder: Path, origin: Origin, strict: bool) -> Manifest | None:
    """The manifest of the shards in `folder` if they were built from `origin` and are complete; else None."""
    before = _ours(folder)
    told = strict and before is not None and (before.rejects or before.notes)  # the error must name the first line
    if before is None or told or read_origin(folder) != origin or not _is_whole(folder, before):
        return None
    return before


def _ours(folder: Path) -> Manifest | None:
    try:
        return read_manifest(folder)
    except (SketchpipeError, OSError):
        return None


def _built_of_lost(inputs: Sequence[str], folder: Path, options: BuildOptions) -> Manifest | None:
    """The manifest of shards that were built from `inputs` with these options, if no input exists but all shards do."""
    if any(os.path.lexists(local_path(text)) for text in inputs):
        return None
    origin = read_origin(folder)
    if origin is None:
        return None
    roots = [os.path.abspath(local_path(text)) for text in inputs]  # noqa: PTH100 - as `find_files` makes the paths of sources
    of_inputs = all(any(path == root or path.startswith(f"{root}/") for root in roots) for path, *_ in origin.sources)
    of_files = all(size != PIPE for _, size, *_ in origin.sources)  # what comes of a pipe now may differ
    same = origin.options == json.loads(json.dumps(options.stored())) and of_files
    manifest = _ours(folder) if same and of_inputs else None
    return manifest if manifest is not None and _is_whole(folder, manifest) else None


def _is_whole(folder: Path, manifest: Manifest) -> bool:
    """Whether every file that the manifest names exists and has the right size."""
    paths = {folder / file.name: file.bytes for file in manifest.files}
    rejects_there = (folder / REJECTS).exists() or not manifest.rejects
    return rejects_there and all(path.is_file() and path.stat().st_size == size for path, size in paths.items())


def _names(folder: Path) -> list[str]:
    """The files in `folder` that a build made: those of the manifest, or, if it is damaged, those named like them."""
    manifest = _ours(folder)
    if manifest is not None:
        return [MANIFEST, REJECTS, *(file.name for file in manifest.files)]
    if not (folder / BUILD / LOCK).exists():
        return []
    names = [entry.name for entry in folder.iterdir()]
    return [name for name in names if name in (MANIFEST, REJECTS) or SHARD_NAME.fullmatch(name)]


def _foreign_in(folder: Path) -> list[str]:
    """The names in `folder` that no build put there; builds make no folder but `.build`."""
    return foreign_entries(folder, _names(folder))
