"""`sketchpipe shards`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import Classes, Splits, Workers

if TYPE_CHECKING:
    from pipeline.shards.estimate import Estimate
    from pipeline.shards.manifest import Manifest
    from pipeline.sources.files import Source


def shards(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Files, folders or globs: ndjson or a JSON array, simplified or raw, Kaggle's csv, .bin, sketch-rnn's .npz; plain, gzip or zstd, recognized by content.",
        ),
    ],
    to: Annotated[
        Path | None, typer.Option(help="Folder for the shards; by default shards/ and the name of the source folder.")
    ] = None,
    classes: Classes = None,
    drawings_per_class: Annotated[
        int | None, typer.Option(help="Drawings to take of each class; all by default.")
    ] = None,
    skip_per_class: Annotated[int, typer.Option(help="Drawings of each class to skip first.")] = 0,
    recognized_only: Annotated[
        bool, typer.Option("--recognized-only", help="Leave out drawings that Google's network did not recognize.")
    ] = False,
    leave_out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Leave out drawings whose key_id is in FILE, one a line.")
    ] = None,
    num_shards: Annotated[
        int | None, typer.Option(help="Shards of the train split; by default one for each million drawings.")
    ] = None,
    splits: Splits = "0.8,0.1,0.1",
    seed: Annotated[int, typer.Option(help="Seed of the shuffle; the splits do not depend on it.")] = 0,
    workers: Workers = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Stop at the first line that would be rejected, or of which a field would be null."
        ),
    ] = False,
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going",
            help="Leave out a damaged gzip member, zstd frame or array, and all after it in its file, and count that; by default it is an error.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Build again even if nothing has changed.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Estimate size and time from the beginning of each file; build nothing.")
    ] = False,
) -> None:
    """Turn drawings into shuffled Parquet shards.

    Reads Quick, Draw! ndjson, packed binary and other files of drawings, and simplifies raw drawings as Google does;
    writes train-, validation- and test-*.parquet, manifest.json and, if lines were rejected, rejects.ndjson. The same
    drawings, options and seed give the same bytes. If nothing has changed, nothing is built; an interrupted build
    resumes; a folder that holds files of other programs is refused.

    Example: sketchpipe shards sketches/mine --to shards/mine --classes "cat,dog,The Eiffel Tower"
    """
    from pipeline.cli.options import parse_list, refuse_split_list, say, size, spare_memory
    from pipeline.cli.progress import BuildBar
    from pipeline.interrupts import advising

    spare_memory()

    from pipeline.shards.estimate import Estimate, check_space
    from pipeline.shards.folder import build_folder, foresee_build
    from pipeline.shards.leave_out import read_key_ids
    from pipeline.shards.options import BuildOptions, worker_count
    from pipeline.wording import counted

    options = BuildOptions(
        classes=None if classes is None else parse_list(classes),
        drawings_per_class=drawings_per_class,
        skip_per_class=skip_per_class,
        recognized_only=recognized_only,
        num_shards=num_shards,
        splits=splits,
        seed=seed,
        leave_out=() if leave_out is None else read_key_ids(leave_out),
    )
    workers = worker_count(workers)
    refuse_split_list(sources, "--classes", classes)
    folder = to or _default_folder(sources)
    bar = BuildBar()

    def begin(found: Sequence["Source"]) -> None:
        files = [source for source in found if source.is_file]
        pipes, known_bytes = len(found) - len(files), sum(source.path.stat().st_size for source in files)
        of = [f"{counted(len(files), 'file')} ({size(known_bytes)})"] if files else []
        of += [counted(pipes, "pipe")] if pipes else []
        say(f"{folder}: building from {' and '.join(of)}")
        needed = check_space(folder, found, options)
        bar.input_bytes = 0 if pipes else needed.input_bytes if needed else known_bytes

    if dry_run:
        with bar:
            foreseen = foresee_build(
                sources, folder, options, workers=workers, strict=strict, keep_going=keep_going, force=force,
                progress=bar, tell=bar.say,
            )  # fmt: skip
        if isinstance(foreseen, Estimate):
            _forecast(foreseen, folder, workers)
            return
        manifest, built = foreseen, False
    else:
        with bar, advising("the same command resumes the build"):
            manifest, built = build_folder(
                sources, folder, options, workers=workers, strict=strict, keep_going=keep_going, force=force,
                progress=bar, begin=begin, tell=say,
            )  # fmt: skip
    if not built:
        say(
            f"{folder}: nothing to do; the shards were built from these sources and options (--force builds them again)"
        )
    _summarize(manifest, folder)


def _forecast(forecast: "Estimate", folder: Path, workers: int) -> None:
    from pipeline.cli.options import duration, say, size
    from pipeline.shards.estimate import free_bytes
    from pipeline.wording import counted

    say(f"{folder}: about {size(forecast.input_bytes)} to read")
    say(f"  about {forecast.drawings:,} drawings, duplicates included")
    say(
        f"  shards of about {size(forecast.shard_bytes)}, and {size(forecast.spill_bytes)} of temporary files until they are done"
    )
    say(f"  {size(forecast.disk_bytes)} of disk needed, {size(free_bytes(folder))} free")
    say(f"  about {duration(max(1.0, forecast.seconds / workers))} on {counted(workers, 'thread')}")


def _default_folder(sources: Sequence[str]) -> Path:
    from pipeline.errors import UsageError

    if len(sources) == 1 and Path(sources[0]).is_dir():
        return Path("shards") / Path(sources[0]).resolve().name
    if len(sources) == 1 and not Path(sources[0]).exists():
        from pipeline.sources.files import find_sources

        find_sources(sources)  # raises the error that names it
    raise UsageError("--to is missing: name the folder for the shards, unless the source is a single folder")


def _summarize(manifest: "Manifest", folder: Path) -> None:
    from pipeline.cli.options import few, say
    from pipeline.shards.manifest import REJECTS
    from pipeline.shards.remarks import damage_remark, lookalike_remark, remarks, unread_sources
    from pipeline.shards.shuffle import SPLITS
    from pipeline.sources.notes import told
    from pipeline.wording import counted

    splits = {split: manifest.rows(split) for split in SPLITS}
    shares = ", ".join(f"{split} {rows:,}" for split, rows in splits.items())
    classes = counted(len(manifest.classes), "class", "classes")
    say(f"{folder}: {counted(sum(splits.values()), 'drawing')} of {classes} ({shares})")
    sources = manifest.sources
    duplicates = sum(source.duplicates for source in sources)
    unread = unread_sources(manifest)
    filtered = sum(source.filtered for source in sources) - len(unread)
    rejected = sum(source.rejected for source in sources)
    if duplicates or filtered or rejected:
        left_out = {counted(duplicates, "duplicate"): duplicates, f"{filtered:,} filtered": filtered,
                    f"{rejected:,} rejected": rejected}  # fmt: skip
        say("  not in a shard: " + ", ".join(text for text, count in left_out.items() if count))
    if listed := len(manifest.options.get("leave_out", ())):
        say(
            f"  filtered by --leave-out: {counted(manifest.left_out, 'drawing')}, with {counted(listed, 'key_id')} listed"
        )
    if manifest.keyless_duplicates:
        say(
            f"  {counted(manifest.keyless_duplicates, 'duplicate')} without a key_id: a drawing with a key_id has the "
            "same word and strokes"
        )
    if unread:
        were = "file was read only to its" if len(unread) == 1 else "files were read only to their"
        say(f"  {len(unread):,} {were} first drawing, because no more of the class is wanted")
    if manifest.rejects:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in manifest.rejects.items())
        say(f"  rejected lines, each with its reason in {folder / REJECTS}: {reasons}")
    for sentence in told(manifest.notes or {}):
        say(f"  {sentence}")
    if manifest.same_key:
        share = "shares" if manifest.same_key == 1 else "share"
        say(f"  {counted(manifest.same_key, 'drawing')} {share} a key_id with another drawing; both were kept")
    for remark in (damage_remark(manifest.damaged_files), *remarks(manifest), lookalike_remark(manifest.classes)):
        if remark is not None:
            say(f"  {remark}")
    counts = manifest.counts.get("test", ())
    if empty := [word for word, count in zip(manifest.classes, counts, strict=False) if not count]:
        say(f"  classes with too few drawings for the test split: {few(empty)}")
