"""Builds shards into a folder: skips an unchanged one, and keeps the old shards until the new ones are complete."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.errors import InputError, LockedError, OutputError, SketchpipeError
from pipeline.progress import Progress, untold
from pipeline.shards.build import Build
from pipeline.shards.estimate import Estimate, estimate_build, refuse_lack_of_space
from pipeline.shards.foresight import foresee_refusals
from pipeline.shards.manifest import MANIFEST, REJECTS, SHARDS, Manifest, read_manifest
from pipeline.shards.manifest_fields import SHARD_NAME
from pipeline.shards.options import USUAL_SIZES, BuildOptions, BuildSizes
from pipeline.shards.origin import PIPE, Origin, Watch, origin_of, read_origin
from pipeline.shards.proof import Claim, all_hold
from pipeline.sources.files import SAMPLE_MARK, SKETCH_RNN, Source, find_sources
from pipeline.sources.rejects import DAMAGED
from pipeline.storage.commit import BUILD, LOCK, foreign_entries, locked, refuse_foreign, refuse_links
from pipeline.storage.files import write_atomically
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
    keep_going: bool = False,
    force: bool = False,
    sizes: BuildSizes = USUAL_SIZES,
    progress: Progress = untold,
    begin: Callable[[Sequence[Source]], object] = lambda _sources: None,
    tell: Callable[[str], object] = lambda _message: None,
    check: Callable[[Manifest], object] = lambda _manifest: None,
) -> tuple[Manifest, bool]:
    """Build shards of the drawings in `inputs` into `folder`; returns the manifest and whether anything was built.

    A build that was killed or interrupted is resumed where it stopped, if inputs and options are still the same. If the
    inputs no longer exist but the shards that were built from them are complete, those shards are kept. A source whose
    size, times or inode have changed since the last build is hashed; if all have the same content, nothing is built.

    Args:
        inputs: files, folders and globs, or the sources themselves in their order.
        folder: the target; it is created, or holds an earlier build.
        options: the options on which the shards depend.
        workers: threads.
        strict: whether the first reject is an error.
        keep_going: whether a damaged gzip member, zstd frame or array and all after it is left out, instead of being an
            error.
        force: whether to build even if nothing has changed.
        sizes: how much is done at a time.
        progress: is called with the bytes hashed or read so far, and then with the drawings written so far.
        begin: is called with the sources before the build begins.
        tell: is called with a message for each folder of inputs that holds other files too, and with one about files of
            sketch-rnn's.
        check: is called with the manifest of the new shards before they replace the old ones, which an error prevents.

    Raises:
        SketchpipeError: the build failed, or a source changed meanwhile, and the message says why; the folder is
            unchanged.
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
        watch = Watch(sources)
        origin = origin_of(watch, options)
        before = None if force else _unchanged(folder, watch, origin, strict, keep_going, workers, progress)
        if before is not None:
            manifest, recorded = before
            with SHARDS.placing(folder):
                if recorded.sources != origin.sources:  # their content is the same: the next build need not hash them
                    found = replace(recorded, sources=origin.sources, manifest=manifest)
                    write_atomically(folder / BUILD / SHARDS.origin, found.dump())
            return manifest, False
        with watch.watching():
            begin(sources)
        with SHARDS.placing(folder):
            build = Build(
                sources, options, folder, synthetic=synthetic, workers=workers, strict=strict,
                keep_going=keep_going, sizes=sizes, work=origin.work(), progress=progress, watch=watch,
            )  # fmt: skip
            with watch.watching():
                manifest = build.run()
                check(manifest)
            made = replace(origin, partly=build.partly, manifest=manifest)
            SHARDS.commit(folder, _names(folder), made.dump(), manifest.proofs)
        return manifest, True


def foresee_build(
    inputs: Sequence[str],
    folder: Path,
    options: BuildOptions,
    *,
    workers: int = 1,
    strict: bool = False,
    keep_going: bool = False,
    force: bool = False,
    progress: Progress = untold,
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
    refuse_links(folder)
    if (pid := holder_of(folder / BUILD / LOCK)) is not None:
        raise LockedError(f"{folder}: process {pid} is writing it; wait for it to end")
    watch = Watch(sources)
    origin = origin_of(watch, options)
    before = None if force else _unchanged(folder, watch, origin, strict, keep_going, workers, progress)
    if before is not None:
        return before[0]
    lock = folder / BUILD / LOCK
    try:
        check_place(lock)
    except OutputError as error:
        raise OutputError(f"{folder}: {str(error).removeprefix(f'{lock}: ')}") from error
    foresee_refusals(sources, options, strict=strict, keep_going=keep_going)
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


def _unchanged(
    folder: Path, watch: Watch, origin: Origin, strict: bool, keep_going: bool, workers: int, progress: Progress
) -> tuple[Manifest, Origin] | None:
    """The manifest of the shards in `folder` and their recorded origin, if a build would make the same shards.

    Sources of which the file system does not say the same as the record are hashed.

    Raises:
        InputError: a source changed while it was hashed.
    """
    before, recorded = _ours(folder), read_origin(folder)
    told = strict and before is not None and (before.rejects or before.notes)  # the error must name the first line
    if before is None or recorded is None or told or not _is_whole(folder, before):
        return None
    if _holds_other_damage(before, keep_going):
        return None
    if recorded.options != origin.options or recorded.manifest not in (None, before) or not watch.are_files:
        return None
    files = [(stamp.path, stamp.name) for stamp in origin.sources]
    if files != [(stamp.path, stamp.name) for stamp in recorded.sources] or len(files) != len(before.sources):
        return None
    claims = []
    for k, (was, now, count) in enumerate(zip(recorded.sources, origin.sources, before.sources, strict=True)):
        is_whole = k not in recorded.partly
        if is_whole and was.size == count.bytes != now.size:  # not compressed, and longer or shorter than it was
            return None
        if was != now:
            claims.append(Claim(watch.sources[k], count, is_whole))
    if claims:
        with watch.watching():
            if not all_hold(claims, workers=workers, progress=progress):
                return None
    return before, recorded


def _holds_other_damage(manifest: Manifest, keep_going: bool) -> bool:
    """Whether a build would treat damage of the sources in another way: as an error, or as it was not before."""
    if DAMAGED not in manifest.rejects:
        return False
    return manifest.damaged_files is None or (manifest.damaged_files > 0 and not keep_going)


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
    paths = [stamp.path for stamp in origin.sources]
    of_inputs = all(any(path == root or path.startswith(f"{root}/") for root in roots) for path in paths)
    of_files = all(stamp.size != PIPE for stamp in origin.sources)  # what comes of a pipe now may differ
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
