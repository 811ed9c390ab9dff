"""A build into its folder: nothing where nothing changed, the old set standing until the new one is complete."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from pipeline.errors import OutputError, SketchpipeError
from pipeline.shards.build import Build, BuildOptions
from pipeline.shards.commit import BUILD, commit, discard, foreign_files, locked, roll_forward, stage, write_atomically
from pipeline.shards.manifest import MANIFEST, REJECTS, Manifest, read_manifest
from pipeline.sources.files import SAMPLE_MARK, Source, find_sources
from pipeline.sources.ndjson import CHUNK_BYTES

_SEEN = "sources.json"  # in .build/: where the sources lay and their stat, for "nothing to do"
_SHARD = re.compile(r"(train|validation|test)-\d{5}-of-\d{5}\.parquet")


def build_folder(
    inputs: Sequence[str],
    folder: Path,
    options: BuildOptions,
    *,
    workers: int = 1,
    strict: bool = False,
    force: bool = False,
    chunk_bytes: int = CHUNK_BYTES,
    progress: Callable[[str, int], None] = lambda _phase, _amount: None,
    begin: Callable[[Sequence[Source]], None] = lambda _sources: None,
) -> tuple[Manifest, bool]:
    """Build shards of the drawings in `inputs` into `folder`; returns the manifest and whether anything was built.

    Args:
        inputs: files, folders and globs.
        folder: the target; it is made, or holds an earlier build.
        options: what decides the bytes.
        workers: threads.
        strict: make the first bad line an error.
        force: build even where nothing changed.
        chunk_bytes: how much is read at a time.
        progress: is told the phase ("read", "write") and how many bytes or rows it has come on.
        begin: is told the sources before the work begins.

    Raises:
        SketchpipeError: as its message says; the folder is as before.
    """
    sources = find_sources(inputs, options.classes)
    synthetic = all((source.path.parent / SAMPLE_MARK).exists() for source in sources)
    _refuse_foreign(folder)
    with locked(folder) as build:
        roll_forward(folder)
        _refuse_foreign(folder)
        before = _ours(folder)
        seen = json.dumps({"options": asdict(options), "sources": [_stat(source) for source in sources]})
        if before is not None and not force and (build / _SEEN).exists() and (build / _SEEN).read_text() == seen:
            return before, False
        begin(sources)
        work = Build(
            sources, options, stage(build), synthetic=synthetic, workers=workers, strict=strict,
            chunk_bytes=chunk_bytes, progress=progress,
        )  # fmt: skip
        try:
            manifest = work.run()
            (build / _SEEN).unlink(missing_ok=True)
            commit(folder, _names(folder), MANIFEST)
        except OSError as error:
            why = error.strerror or error
            raise OutputError(f"{folder}: cannot be written ({why}); what stood there stands") from error
        finally:
            discard(folder)
        write_atomically(build / _SEEN, seen)
        return manifest, True


def _ours(folder: Path) -> Manifest | None:
    try:
        return read_manifest(folder)
    except (SketchpipeError, OSError):
        return None


def _names(folder: Path) -> list[str]:
    """The files in `folder` that a build made: as the manifest says, or by their names where it is damaged."""
    manifest = _ours(folder)
    if manifest is not None:
        return [MANIFEST, REJECTS, *(file.name for file in manifest.files)]
    if not (folder / BUILD / "lock").exists():
        return []
    names = [entry.name for entry in folder.iterdir()]
    return [name for name in names if name in (MANIFEST, REJECTS) or _SHARD.fullmatch(name)]


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file, not a folder; choose another folder with --to")
    foreign = foreign_files(folder, _names(folder))
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise OutputError(f"{folder}: holds {foreign[0]}{more}, which sketchpipe did not make; choose an empty folder")


def _stat(source: Source) -> list[object]:
    stat = source.path.stat()
    return [str(source.path), stat.st_size, stat.st_mtime_ns]
