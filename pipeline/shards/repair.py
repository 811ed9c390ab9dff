"""Rebuilds the damaged files of a folder of shards from the sources, to the same bytes.

Nothing is replaced before the sources are proved to hold what the shards were built from.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import closing, nullcontext
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError, MismatchError, OutputError, ShardError
from pipeline.progress import Progress, untold
from pipeline.shards.build import WRITING, versions
from pipeline.shards.find import existing_folder
from pipeline.shards.folder import build_folder
from pipeline.shards.intake import Intake
from pipeline.shards.journal import JOURNAL, Journal, is_of_build
from pipeline.shards.layout import ShardPlan
from pipeline.shards.manifest import (
    MANIFEST,
    REJECTS,
    SHARDS,
    Manifest,
    ManifestError,
    file_hash,
    read_manifest,
)
from pipeline.shards.manifest_fields import SHARD_NAME
from pipeline.shards.moved import sources_of_manifest, sources_of_origin
from pipeline.shards.origin import Origin, options_of, read_origin
from pipeline.shards.spill import SpillReader
from pipeline.shards.verify import Damage, damaged_files
from pipeline.shards.write import ShardWriter, vocabularies
from pipeline.sources.files import Source
from pipeline.storage.commit import locked
from pipeline.storage.files import sync, write_file
from pipeline.storage.reading import open_regular
from pipeline.threads import ordered_map
from pipeline.wording import counted

_MOST_NAMES = 4  # of files in a message


def repair_folder(
    folder: Path,
    inputs: Sequence[str] = (),
    *,
    workers: int = 1,
    progress: Progress = untold,
    tell: Callable[[str], object] = lambda _message: None,
) -> list[Damage]:
    """Rebuild the damaged files of a folder of shards; returns what was damaged, an empty list if nothing was.

    A damaged manifest is replaced by the copy in `.build/`, and shards are rebuilt from sources with the hashes that
    the manifest has. If an older version built the shards, `.build/` has no copy: then all are built again, from
    sources of the recorded sizes and times, and take the place of the old ones if no undamaged shard differs.

    Args:
        folder: a folder of shards.
        inputs: the sources, if they have moved; they are recognized by their names and hashes.
        workers: threads.
        progress: is called as by `build_folder`.
        tell: is called with a line that says what was proved and what was rebuilt.

    Raises:
        InputError: a source is missing or has changed.
        MismatchError: other versions wrote the shards, and the installed ones may not write the same bytes.
        ShardError: the manifest is damaged, and there is no record of what the folder was built from, or an undamaged
            shard would be replaced by another one.
        OutputError: the folder cannot be written.
    """
    existing_folder(folder)
    with locked(folder):  # to the end, so that no other build takes the place of what was looked at
        SHARDS.roll_forward(folder)
        origin = read_origin(folder)
        manifest, damaged = _damage(folder, origin)
        names = {damage.name for damage in damaged}
        for name in names:
            if (folder / name).is_dir():
                raise OutputError(f"{folder / name}: is a folder where a file belongs; remove it")
        if manifest is not None:
            if damaged:
                tell(f"{folder}: {_restore(folder, manifest, origin, names, inputs, workers, progress)}")
            elif not is_of_build(SHARDS.work_path(folder) / JOURNAL):
                SHARDS.discard(folder)  # what a repair left that was killed when its last file was in place
            return damaged
    assert origin is not None
    tell(f"{folder}: {_remake(folder, origin, inputs, workers, progress)}")
    return damaged


def _damage(folder: Path, origin: Origin | None) -> tuple[Manifest | None, list[Damage]]:
    """The manifest, or the recorded copy of a damaged one, or None; and what is damaged.

    Raises:
        ShardError: the manifest is damaged, and there is no record of what the folder was built from.
    """
    damaged: list[Damage] = []
    try:
        manifest = read_manifest(folder)
    except ShardError as error:
        damaged = [Damage(MANIFEST, error.why if isinstance(error, ManifestError) else "missing")]
        if origin is None:
            raise ShardError(
                f"{folder}: its manifest is damaged, and there is no record of its sources; build it anew: sketchpipe "
                f"shards SOURCE... --to {folder}"
            ) from error
        if origin.manifest is None:
            return None, damaged
        manifest = origin.manifest
    return manifest, damaged + [damage for damage in damaged_files(folder, manifest) if not damage.misplaced]


def _restore(
    folder: Path,
    manifest: Manifest,
    origin: Origin | None,
    names: set[str],
    inputs: Sequence[str],
    workers: int,
    progress: Progress,
) -> str:
    """Rebuild the files with these names in a locked folder; returns what was proved and rebuilt."""
    if MANIFEST in names:
        _refuse_others(folder, names)
    sources = [] if names == {MANIFEST} else sources_of_manifest(manifest, origin, inputs)
    with SHARDS.placing(folder, "no undamaged file was changed"):
        SHARDS.prepare(folder)
        if sources:
            _rebuild(folder, manifest, sources, names - {MANIFEST}, workers, progress)
        if MANIFEST in names:
            write_file(SHARDS.staged_path(folder) / MANIFEST, manifest.dump())
        _put_in_place(folder, names)
    intact = sum(file.name not in names for file in manifest.files)
    proved = [counted(count, noun) for count, noun in ((intact, "intact shard"), (len(sources), "source")) if count]
    return f"proved by hash: {' and '.join(proved) or 'the recorded manifest'}; rebuilt: {_few(names)}"


def _refuse_others(folder: Path, names: Collection[str]) -> None:
    """Raise an error if one of these shards, which the recorded manifest does not describe, is undamaged.

    It is of another build then, whose own manifest is the damaged one.
    """
    for path in sorted(folder / name for name in names):
        if _is_undamaged(path):
            raise ShardError(
                f"{path}: is undamaged, but is not the shard that was built here; nothing was changed; move it away "
                "and repair again"
            )


def _remake(folder: Path, origin: Origin, inputs: Sequence[str], workers: int, progress: Progress) -> str:
    """Build all shards again, where no hash was recorded; returns what was proved and rebuilt.

    Raises:
        InputError: a source is missing, or has another size or time.
        ShardError: an undamaged shard would be replaced by another one.
    """
    sources = sources_of_origin(origin, inputs)
    whole: dict[str, str] = {}

    def check(manifest: Manifest) -> None:  # while the folder is locked
        whole.update((path.name, file_hash(path)) for path in folder.iterdir() if _is_undamaged(path))
        hashes = {file.name: file.sha256 for file in manifest.files}
        for name, sha256 in whole.items():
            if hashes.get(name) != sha256:
                raise ShardError(
                    f"{folder / name}: is undamaged, but these sources now make another shard; nothing was changed; if "
                    "they are the right ones, build the shards anew with --force"
                )

    build_folder(
        sources, folder, options_of(origin.options), workers=workers, force=True, progress=progress, check=check
    )
    proved = f"{counted(len(whole), 'intact shard')} by hash, {counted(len(sources), 'source')} by size and time"
    return f"proved: {proved}; rebuilt: {MANIFEST} and what was damaged"


def _is_undamaged(path: Path) -> bool:
    """Whether a file with the name of a shard can be read to its end, with the checksums of its pages."""
    if not (SHARD_NAME.fullmatch(path.name) and path.is_file()):
        return False
    try:
        with (
            open_regular(path, link=True) as file,
            pq.ParquetFile(file, page_checksum_verification=True) as shard,
        ):
            rows = sum(batch.num_rows for batch in shard.iter_batches())
            return bool(rows == shard.metadata.num_rows)
    except (OSError, ValueError, pa.ArrowException):
        return False


def _few(names: Collection[str]) -> str:
    few = sorted(names)[:_MOST_NAMES]
    return ", ".join(few) + (f" and {len(names) - len(few):,} more" if len(names) > len(few) else "")


def _rebuild(
    folder: Path, manifest: Manifest, sources: Sequence[Source], names: set[str], workers: int, progress: Progress
) -> None:
    """Run both passes over all sources, but write only the files with these names into the staging folder.

    Only the drawings of these files are spilled, except where the build dropped drawings without a key_id: the drawing
    with a key_id that has the same word and strokes may be in any shard.
    """
    if manifest.writer != versions():
        wrote = ", ".join(f"{name} {number}" for name, number in manifest.writer.items())
        raise MismatchError(f"{folder}: written by {wrote}; repair it with these versions, or build it anew")
    staged, work = SHARDS.staged_path(folder), SHARDS.work_path(folder)
    plans = [ShardPlan.of_name(file.name) for file in manifest.files if file.name in names]
    options, compares = options_of(manifest.options), bool(manifest.keyless_duplicates and plans)
    journal = Journal(work / JOURNAL, {"repair": sorted(names), "of": manifest.checksum})
    intake = Intake(
        sources, options, spill=work / "spill", rejects=staged / REJECTS, journal=journal,
        only=None if compares else plans, workers=workers, keep_going=bool(manifest.damaged_files), progress=progress,
    )  # fmt: skip
    with journal.opened():
        intake.resume()
        intake.run()
    for source, tally, count in zip(sources, intake.counts.tallies, manifest.sources, strict=True):
        if (tally.end, tally.hash) != (count.bytes, count.hash):
            raise InputError(
                f"{source.path}: has changed since the shards were built; nothing was changed; say where the unchanged "
                "file is (sketchpipe repair SHARDS SOURCE...), or build the shards anew"
            )
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


def _put_in_place(folder: Path, names: set[str]) -> None:
    """Move staged files into the folder one by one, the manifest last."""
    staged = SHARDS.staged_path(folder)
    for name in sorted(names, key=lambda name: name == MANIFEST):
        sync(staged / name)
        (staged / name).replace(folder / name)
    sync(folder)
