"""`sketchpipe verify` and `sketchpipe repair`: check a folder of shards, and rebuild its damaged files."""

from pathlib import Path
from typing import Annotated

import typer


def verify(
    shards: Annotated[Path, typer.Argument(metavar="SHARDS", help="Folder of shards.")],
    deep: Annotated[
        bool, typer.Option("--deep", help="Check every row too: its split, shard, order and class.")
    ] = False,
) -> None:
    """Check that a folder of shards is exactly what was built.

    Reads the manifest and all files, and checks every file's SHA-256 and every page's checksum; writes one line to
    stdout for each damaged file, and exits with 4 if there is one.

    Example: sketchpipe verify shards/quickdraw --deep
    """
    from pipeline.cli.options import say, show, size
    from pipeline.cli.progress import Bar
    from pipeline.errors import ShardError
    from pipeline.shards.manifest import read_manifest
    from pipeline.shards.verify import verify_folder
    from pipeline.wording import counted

    with Bar() as bar:
        damaged = verify_folder(shards, deep=deep, progress=bar)
    for damage in damaged:
        show(str(damage))
    if damaged:
        misplaced = all(damage.misplaced for damage in damaged)
        count = "1 file is" if len(damaged) == 1 else f"{len(damaged)} files are"
        remedy = (
            "build the folder again with --force"
            if misplaced
            else f"repair the folder with `sketchpipe repair {shards}`"
        )
        raise ShardError(f"{shards}: {count} damaged; {remedy}")
    manifest = read_manifest(shards)
    rows = sum(file.rows for file in manifest.files)
    how = "every row in its place" if deep else "add --deep to check every row"
    held = sum(file.bytes for file in manifest.files)
    say(
        f"{shards}: {counted(len(manifest.files), 'shard')}, {counted(rows, 'drawing')}, {size(held)}: "
        f"exactly as built; {how}"
    )


def repair(
    shards: Annotated[Path, typer.Argument(metavar="SHARDS", help="Folder of shards.")],
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="SOURCE", help="Where the sources are now, if they have moved.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Threads; one a core by default.")] = None,
) -> None:
    """Rebuild the damaged files of a folder of shards.

    Reads the manifest, the shards and the sources they were built from; writes only the damaged files, with the same
    bytes as before. A damaged manifest is replaced by its copy in .build/. A source that has changed is refused, and
    then nothing is written.

    Example: sketchpipe repair shards/quickdraw
    """
    import contextlib

    from pipeline.cli.options import say, show, spare_memory
    from pipeline.cli.progress import BuildBar

    spare_memory()

    from pipeline.errors import SketchpipeError
    from pipeline.shards.manifest import read_manifest
    from pipeline.shards.options import worker_count
    from pipeline.shards.repair import repair_folder

    bar = BuildBar()
    with contextlib.suppress(SketchpipeError):  # repair_folder reports a damaged manifest
        bar.input_bytes = sum(source.bytes for source in read_manifest(shards).sources)
    with bar:
        damaged = repair_folder(shards, sources or (), workers=worker_count(workers), progress=bar, tell=bar.say)
    for damage in damaged:
        show(f"{damage}; rebuilt")
    if not damaged:
        say(f"{shards}: nothing to repair")
