"""`sketchpipe verify` and `sketchpipe repair`: a folder of shards against its manifest."""

from pathlib import Path
from typing import Annotated

import typer


def verify(
    shards: Annotated[Path, typer.Argument(help="Folder of shards.")],
    deep: Annotated[
        bool, typer.Option("--deep", help="Look at every row too: its split, its shard, its order, its class.")
    ] = False,
) -> None:
    """Prove that a folder of shards is what was built: every file's SHA-256 and every page's checksum.

    Reads the manifest and all files; writes one line for each damaged file to stdout, and exits with 4 if there is
    one.

    Example: sketchpipe verify shards/quickdraw --deep
    """
    from pipeline.cli.options import counted, say, size
    from pipeline.cli.progress import Bar
    from pipeline.errors import ShardError
    from pipeline.shards.manifest import read_manifest
    from pipeline.shards.verify import verify_folder

    with Bar() as bar:
        damaged = verify_folder(shards, deep=deep, progress=bar)
    for damage in damaged:
        typer.echo(str(damage))
    if damaged:
        misplaced = all(damage.misplaced for damage in damaged)
        count = "1 file is" if len(damaged) == 1 else f"{len(damaged)} files are"
        remedy = (
            "build the folder anew with --force" if misplaced else f"mend the folder with `sketchpipe repair {shards}`"
        )
        raise ShardError(f"{shards}: {count} damaged; {remedy}")
    manifest = read_manifest(shards)
    rows = sum(file.rows for file in manifest.files)
    how = "every row in its place" if deep else "add --deep to look at every row"
    held = f"{counted(len(manifest.files), 'shard')}, {counted(rows, 'drawing')}, {size(sum(file.bytes for file in manifest.files))}"
    say(f"{shards}: {held}: all as built; {how}")


def repair(
    shards: Annotated[Path, typer.Argument(help="Folder of shards.")],
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SOURCE]...", help="Where the sources are now, if they were moved."),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Threads; the machine's cores by default.")] = None,
) -> None:
    """Make the damaged files of a folder of shards anew from its sources, to the same bytes.

    Reads the manifest, the shards and the sources they were built of; writes only the damaged files. A damaged
    manifest means a whole new build.

    Example: sketchpipe repair shards/quickdraw
    """
    import contextlib

    from pipeline.cli.options import say, worker_count
    from pipeline.cli.progress import BuildBar
    from pipeline.errors import SketchpipeError
    from pipeline.shards.manifest import read_manifest
    from pipeline.shards.repair import repair_folder

    bar = BuildBar()
    with contextlib.suppress(SketchpipeError):  # a damaged manifest does not say; what is wrong is said below
        bar.input_bytes = sum(source.bytes for source in read_manifest(shards).sources)
    with bar:
        damaged = repair_folder(shards, sources or (), workers=worker_count(workers), progress=bar)
    for damage in damaged:
        typer.echo(f"{damage}; made anew")
    if not damaged:
        say(f"{shards}: nothing to repair")
