"""Rebuilds the damaged files of a folder of shards from the sources, to the same bytes."""

import itertools
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path, PurePath

from pipeline.classes import WORDS
from pipeline.errors import InputError, MismatchError, OutputError, ShardError
from pipeline.progress import Progress, untold
from pipeline.shards.build import WRITING, versions
from pipeline.shards.folder import build_folder
from pipeline.shards.intake import Intake
from pipeline.shards.journal import Journal
from pipeline.shards.layout import ShardPlan
from pipeline.shards.manifest import MANIFEST, REJECTS, SHARDS, Manifest, SourceCount, file_hash, read_manifest
from pipeline.shards.options import BuildOptions
from pipeline.shards.origin import PIPE, Origin, options_of, read_origin
from pipeline.shards.spill import SpillReader
from pipeline.shards.tally import Tally
from pipeline.shards.verify import Damage, verify_folder
from pipeline.shards.write import ShardWriter, vocabularies
from pipeline.sources.chunks import BLOCK_BYTES
from pipeline.sources.files import Source, find_sources, refuse_pipes, word_of_name
from pipeline.sources.readers import read_source
from pipeline.storage.commit import locked
from pipeline.storage.files import sync
from pipeline.threads import ordered_map


def repair_folder(
    folder: Path, inputs: Sequence[str] = (), *, workers: int = 1, progress: Progress = untold
) -> list[Damage]:
    """Rebuild the damaged files of a folder of shards; returns what was damaged, an empty list if nothing was.

    If the manifest is damaged, everything is built again, from the options and paths that `.build/` records.

    Args:
        folder: a folder of shards.
        inputs: the sources, if they have moved; they are recognized by their names and hashes.
        workers: threads.
        progress: is called as by `build_folder`.

    Raises:
        InputError: a source is missing or has changed.
        MismatchError: other versions wrote the shards, and the installed ones may not write the same bytes.
        ShardError: the manifest is damaged, and there is no record of what the folder was built from.
        OutputError: the folder cannot be written.
    """
    with locked(folder):
        SHARDS.roll_forward(folder)
    damaged = [damage for damage in verify_folder(folder) if not damage.misplaced]
    if not damaged:
        return []
    for damage in damaged:
        if (folder / damage.name).is_dir():
            raise OutputError(f"{folder / damage.name}: is a folder where a file belongs; remove it")
    origin = read_origin(folder)
    if damaged[0].name == MANIFEST:
        if origin is None:
            raise ShardError(f"{folder}: its manifest is damaged, and there is no record of its sources; build it anew")
        options = options_of(origin.options)
        sources = _given(inputs, options) if inputs else _sources_of(origin, options)
        build_folder(sources, folder, options, workers=workers, force=True, progress=progress)
        return damaged
    manifest = read_manifest(folder)
    sources = _matched(manifest, origin, inputs)
    with locked(folder), SHARDS.placing(folder, "nothing was changed"):
        _rebuild(folder, manifest, sources, {damage.name for damage in damaged}, workers, progress)
    return damaged


def _given(inputs: Sequence[str], options: BuildOptions) -> list[Source]:
    """The sources that the user names."""
    sources = find_sources(inputs, options.classes)
    refuse_pipes(sources, "a repair")
    return sources


def _sources_of(origin: Origin, options: BuildOptions) -> list[Source]:
    """The sources of the last build, at the paths that it recorded."""
    known = (*WORDS, *(options.classes or ()))
    for path, size, *_ in origin.sources:
        if size == PIPE:
            raise InputError(f"{path}: was a pipe, whose content is gone; build the shards anew")
        if not Path(path).is_file():
            raise _gone(path)
    return [Source(Path(path), name, word_of_name(name, known)) for path, _, _, name in origin.sources]


def _matched(manifest: Manifest, origin: Origin | None, inputs: Sequence[str]) -> list[Source]:
    """The sources that the manifest names, in its order."""
    options = options_of(manifest.options)
    names = [count.name for count in manifest.sources]
    if not inputs and origin is not None and [name for *_, name in origin.sources] == names:
        return _sources_of(origin, options)
    if not inputs:
        raise _gone(names[0])
    known, there = (*WORDS, *(options.classes or ())), _given(inputs, options)
    matched = []
    for count in manifest.sources:
        source = _most_like(count, there)
        matched.append(Source(source.path, count.name, word_of_name(count.name, known)))
        there.remove(source)
    return matched


def _most_like(count: SourceCount, there: Sequence[Source]) -> Source:
    """The source whose path ends most like the name that the manifest has; of several, the one with its hash."""
    parts = PurePath(count.name).parts

    def likeness(source: Source) -> int:
        pairs = zip(reversed(parts), reversed(source.path.parts), strict=False)
        return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))

    best = max((likeness(source) for source in there), default=0)
    like = [source for source in there if likeness(source) == best] if best else []
    if len(like) > 1:
        like = [source for source in like if _hash_of(source, count.bytes) == count.hash]
    if not like:
        raise _gone(count.name)
    return like[0]


def _gone(source: str) -> InputError:
    return InputError(f"{source}: this source is gone; say where it is: sketchpipe repair SHARDS SOURCE...")


def _hash_of(source: Source, end: int) -> str:
    """The hash of a source up to byte `end`, as a build computes it."""
    tally = Tally()
    for chunk in read_source(source, chunk_bytes=BLOCK_BYTES):
        tally.blocks += chunk.block_hashes()
        if chunk.end >= end:
            break
    del tally.blocks[-(-end // BLOCK_BYTES) :]
    return tally.hash


def _rebuild(
    folder: Path, manifest: Manifest, sources: Sequence[Source], names: set[str], workers: int, progress: Progress
) -> None:
    """Run both passes over all sources, but write only the files with these names, and put them in place one by one.

    Only the drawings of these files are spilled, except where the build dropped drawings without a key_id: the drawing
    with a key_id that has the same word and strokes may be in any shard.
    """
    if manifest.writer != versions():
        wrote = ", ".join(f"{name} {number}" for name, number in manifest.writer.items())
        raise MismatchError(f"{folder}: written by {wrote}; repair it with these versions, or build it anew")
    staged, work = SHARDS.prepare(folder), SHARDS.work_path(folder)
    plans = [ShardPlan.of_name(file.name) for file in manifest.files if file.name in names]
    options, compares = options_of(manifest.options), bool(manifest.keyless_duplicates and plans)
    journal = Journal(work / "journal.ndjson", {"repair": sorted(names), "of": manifest.checksum})
    intake = Intake(
        sources, options, spill=work / "spill", rejects=staged / REJECTS, journal=journal,
        only=None if compares else plans, workers=workers, progress=progress,
    )  # fmt: skip
    with journal.opened():
        intake.resume()
        intake.run()
    for source, tally, count in zip(sources, intake.counts.tallies, manifest.sources, strict=True):
        if (tally.end, tally.hash) != (count.bytes, count.hash):
            raise InputError(f"{source.path}: has changed since the shards were built; build them anew")
    named = vocabularies(intake.counts.words.strings, manifest.classes, intake.counts.countrycodes.strings)
    rows, total = 0, sum(file.rows for file in manifest.files if file.name in names)
    with (
        closing(SpillReader(work / "spill", intake.segments)) as spill,
        intake.twins(spill) if compares else nullcontext() as twins,
    ):
        writer = ShardWriter(spill, named, seed=options.seed, sources=len(sources), twins=twins)
        for shard in ordered_map(lambda plan: writer.write(plan, staged), plans, workers):
            rows += shard.file.rows
            progress(WRITING, rows, total, unit="drawings")
            if shard.file not in manifest.files:
                raise ShardError(f"{folder}: {shard.file.name} was rebuilt to other bytes; build the folder anew")
    if REJECTS in names and file_hash(staged / REJECTS) != manifest.rejects_sha256:
        raise ShardError(f"{folder}: {REJECTS} was rebuilt to other bytes; build the folder anew")
    for name in names:
        sync(staged / name)
        (staged / name).replace(folder / name)
    sync(folder)
