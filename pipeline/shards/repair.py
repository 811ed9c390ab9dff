"""Mending a folder of shards: what is damaged is made anew from the sources, to the same bytes."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from pipeline.classes import WORDS, declared_word
from pipeline.errors import InputError, MismatchError, ShardError
from pipeline.shards.build import Progress, versions
from pipeline.shards.commit import BUILD, WORK, discard, locked, stage
from pipeline.shards.folder import build_folder
from pipeline.shards.intake import Intake
from pipeline.shards.journal import Journal
from pipeline.shards.manifest import MANIFEST, REJECTS, Manifest, file_hash, read_manifest
from pipeline.shards.origin import Origin, options_of, read_origin
from pipeline.shards.plan import ShardPlan
from pipeline.shards.spill import SpillReader
from pipeline.shards.verify import Damage, verify_folder
from pipeline.shards.write import ShardWriter, vocabularies
from pipeline.sources.files import Source, find_sources
from pipeline.storage import sync
from pipeline.threads import ordered_map


def repair_folder(
    folder: Path,
    inputs: Sequence[str] = (),
    *,
    workers: int = 1,
    progress: Progress = lambda _phase, _bytes, _drawings: None,
) -> list[Damage]:
    """Make the damaged files of a folder of shards anew; returns what was damaged, nothing if all was well.

    A damaged manifest means a whole new build, from what this machine remembers of the last one.

    Args:
        folder: of shards.
        inputs: the sources, where they are no longer where they were; their names and hashes tell which is which.
        workers: threads.
        progress: as `build_folder`'s.

    Raises:
        InputError: a source is gone or has changed.
        MismatchError: other versions wrote the shards, and these do not write the same bytes.
        ShardError: the manifest is damaged, and nothing tells what the folder was built of.
        OutputError: the folder cannot be written.
    """
    damaged = verify_folder(folder)
    if not damaged:
        return []
    origin = read_origin(folder)
    paths = list(inputs) or [path for path, *_ in origin.sources] if origin else list(inputs)
    if damaged[0].name == MANIFEST:
        if origin is None:
            raise ShardError(f"{folder}: its manifest is damaged and nothing tells what it was built of; build it anew")
        build_folder(paths, folder, options_of(origin.options), workers=workers, force=True, progress=progress)
        return damaged
    with locked(folder):
        manifest = read_manifest(folder)
        sources = _matched(manifest, _present(paths, origin))
        try:
            _rebuild(folder, manifest, sources, {damage.name for damage in damaged}, workers, progress)
        except Exception:
            discard(folder)
            raise
        discard(folder)  # not after an interruption: the next repair goes on with what is there
    return damaged


def _present(paths: Sequence[str], origin: Origin | None) -> list[Source]:
    """The sources that are there, under the names that they had."""
    there = [path for path in paths if os.path.lexists(path)]
    names = {path: name for path, _, _, name in origin.sources} if origin else {}
    found = find_sources(there) if there else []
    return [replace(source, name=names.get(str(source.path), source.name)) for source in found]


def _matched(manifest: Manifest, sources: Sequence[Source]) -> list[Source]:
    """The sources that the manifest names, in its order: by their names, or else by their files' names."""
    by_file = {PurePath(source.name).name: source for source in sources}
    by_name = {source.name: source for source in sources}
    known = (*WORDS, *(manifest.options["classes"] or ()))
    matched = []
    for count in manifest.sources:
        file = PurePath(count.name).name
        source = by_name.get(count.name) or by_file.get(file)
        if source is None:
            raise InputError(f"{count.name}: this source is gone; say where it is: sketchpipe repair SHARDS SOURCE...")
        matched.append(Source(source.path, count.name, declared_word(file, known)))
    return matched


def _rebuild(
    folder: Path, manifest: Manifest, sources: Sequence[Source], names: set[str], workers: int, progress: Progress
) -> None:
    """Both passes over all sources, but only for the files of these names, which are put in place one by one."""
    if manifest.writer != versions():
        wrote = ", ".join(f"{name} {number}" for name, number in manifest.writer.items())
        raise MismatchError(f"{folder}: written by {wrote}; repair it with these versions, or build it anew")
    staged = stage(folder / BUILD)
    work = folder / BUILD / WORK
    work.mkdir(exist_ok=True)
    plans = [ShardPlan.of_name(file.name) for file in manifest.files if file.name in names]
    options = options_of(manifest.options)
    journal = Journal(work / "journal.ndjson", {"repair": sorted(names), "of": manifest.checksum})
    try:
        intake = Intake(
            sources, options, spill=work / "spill", rejects=staged / REJECTS, journal=journal, only=plans,
            workers=workers, progress=progress,
        )  # fmt: skip
        intake.run()
    finally:
        journal.close()
    for source, tally, count in zip(sources, intake.counts.tallies, manifest.sources, strict=True):
        if (tally.end, tally.hash) != (count.bytes, count.hash):
            raise InputError(f"{source.path}: has changed since the shards were built; build them anew")
    named = vocabularies(intake.counts.words.strings, manifest.classes, intake.counts.countrycodes.strings)
    spill = SpillReader(work / "spill", intake.segments)
    writer = ShardWriter(spill, named, seed=options.seed, sources=len(sources))
    try:
        for shard in ordered_map(lambda plan: writer.write(plan, staged), plans, workers):
            progress("write", 0, shard.file.rows)
            if shard.file not in manifest.files:
                raise ShardError(f"{folder}: {shard.file.name} came out otherwise than it was; build the folder anew")
    finally:
        spill.close()
    if REJECTS in names and file_hash(staged / REJECTS) != manifest.rejects_sha256:
        raise ShardError(f"{folder}: {REJECTS} came out otherwise than it was; build the folder anew")
    for name in names:
        sync(staged / name)
        (staged / name).replace(folder / name)
    sync(folder)
