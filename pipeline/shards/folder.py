"""Builds shards into a folder: skips an unchanged one, and keeps the old shards until the new ones are complete."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from pipeline.errors import InputError, SketchpipeError
from pipeline.progress import Progress, untold
from pipeline.shards.build import Build
from pipeline.shards.manifest import MANIFEST, REJECTS, SHARD_NAME, SHARDS, Manifest, read_manifest
from pipeline.shards.options import USUAL_SIZES, BuildOptions, BuildSizes
from pipeline.shards.origin import origin_of, read_origin
from pipeline.sources.files import SAMPLE_MARK, Source, find_sources
from pipeline.storage.commit import BUILD, LOCK, foreign_entries, locked, refuse_foreign


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

    Raises:
        SketchpipeError: the build failed, and the message says why; the folder is unchanged.
    """
    SHARDS.finish_pending(folder)
    texts = [text for text in inputs if isinstance(text, str)]
    sources = [source for source in inputs if isinstance(source, Source)]
    try:
        sources = sources or find_sources(texts, options.classes)
    except InputError:
        if force or (orphaned := _built_of_lost(texts, folder, options)) is None:
            raise
        return orphaned, False
    synthetic = all((source.path.parent / SAMPLE_MARK).exists() for source in sources)
    refuse_foreign(folder, _foreign_in)
    with locked(folder):
        SHARDS.roll_forward(folder)
        refuse_foreign(folder, _foreign_in)
        before = _ours(folder)
        origin = origin_of(sources, options)
        unchanged = read_origin(folder) == origin
        told = strict and before is not None and before.rejects  # the error must name the first reject
        if before is not None and unchanged and not force and not told and _is_whole(folder, before):
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


def _ours(folder: Path) -> Manifest | None:
    try:
        return read_manifest(folder)
    except (SketchpipeError, OSError):
        return None


def _built_of_lost(inputs: Sequence[str], folder: Path, options: BuildOptions) -> Manifest | None:
    """The manifest of shards that were built from `inputs` with these options, if no input exists but all shards do."""
    if any(os.path.lexists(text) for text in inputs):
        return None
    origin = read_origin(folder)
    if origin is None:
        return None
    roots = [os.path.abspath(text) for text in inputs]  # noqa: PTH100 - as `find_files` makes the paths of sources
    of_inputs = all(any(path == root or path.startswith(f"{root}/") for root in roots) for path, *_ in origin.sources)
    same = origin.options == json.loads(json.dumps(options.stored()))
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
