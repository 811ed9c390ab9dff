"""`sketchpipe download`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.choices import Format

if TYPE_CHECKING:
    from pipeline.download.fetch_files import Outcome
    from pipeline.download.plan import DownloadOptions, Plan


def download(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="CLASS", help="Google's words, as `sketchpipe classes` lists them.")
    ] = None,
    classes: Annotated[str | None, typer.Option(metavar="WORDS", help='More words, "cat,hot dog" or @FILE.')] = None,
    everything: Annotated[bool, typer.Option("--all", help="All 345 words.")] = False,
    to: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the files; by default sketches/quickdraw, and with -raw, -binary or -numpy appended for other formats."
        ),
    ] = None,
    format: Annotated[  # noqa: A002 - the option's name is the parameter's
        Format,
        typer.Option(
            help="Which of Google's files: simplified and raw are ndjson, binary is packed, numpy holds bitmaps."
        ),
    ] = "simplified",
    drawings_per_class: Annotated[
        int | None,
        typer.Option(
            help="Only the first N drawings of each file; they may be biased, and no checksum covers them.", metavar="N"
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Mirror with the bucket's folders below it; Google's bucket by default."),
    ] = None,
) -> None:
    """Download Google's Quick, Draw! drawings.

    There are 50 million drawings of 345 words, CC BY 4.0; no account is needed. Reads Google's public bucket or a
    mirror of it, through HTTPS_PROXY if that is set; writes a <word>.ndjson, .bin or .npy for each word. All simplified
    files are 23 GB; 10,000 drawings of each word are about 1.8 GB. An interrupted download resumes; files that are
    already there with the right size and checksum are not downloaded again. Files of your own are never overwritten.

    Example: sketchpipe download cat "hot dog" --drawings-per-class 10000
    """
    from pipeline.download.bucket import SOURCE
    from pipeline.download.plan import DownloadOptions

    options = DownloadOptions(format, drawings_per_class, SOURCE if source is None else source)
    _fetch(_choose(words or [], classes, everything), to or Path(options.form.target), options)


def _fetch(chosen: tuple[str, ...], folder: Path, options: "DownloadOptions") -> None:
    """Download the chosen words' files, and say how that goes."""
    import time

    from pipeline.cli.progress import Bar
    from pipeline.download.fetch_files import download as fetch
    from pipeline.interrupts import advising

    start = time.monotonic()
    plans: list[Plan] = []

    def begin(plan: "Plan") -> None:
        nonlocal start
        start = time.monotonic()
        plans.append(plan)
        _announce(plan, folder, options)

    with Bar() as bar, advising(f"{folder} keeps what was downloaded, and the same command resumes"):
        outcome = fetch(chosen, folder, options, begin=begin, progress=bar, waiting=lambda why: bar.say(f"  {why}"))
    _conclude(outcome, plans, options, folder, time.monotonic() - start)


def _choose(words: list[str], classes: str | None, everything: bool) -> tuple[str, ...]:
    from pipeline.classes import WORDS
    from pipeline.cli.options import parse_list
    from pipeline.errors import UsageError

    chosen = (*words, *(parse_list(classes) if classes is not None else ()))
    if everything and chosen:
        raise UsageError(f"--all and {chosen[0]!r}: name classes or take all, not both")
    if not everything and not chosen:
        raise UsageError(
            'no class is named: give words (`sketchpipe download cat "hot dog"`), --classes @FILE or --all'
        )
    return WORDS if everything else chosen


def _announce(plan: "Plan", folder: Path, options: "DownloadOptions") -> None:
    from pipeline.cli.options import say, size
    from pipeline.wording import counted

    if not plan.missing:
        return
    count, lines = len(plan.missing), options.drawings_per_class
    have = sum(min(item.have, item.total) for item in plan.missing)
    begun = f", {size(have)} more are already there" if have else ""
    about = "about " if lines is not None else ""
    say(
        f"{folder}: downloading {counted(count, 'file')} from {options.source}: {about}{size(plan.needed)} needed{begun}, {size(plan.free)} free"
    )
    if lines is not None:
        say(
            f"  only the first {counted(lines, 'drawing')} of each: the beginning of a file may be biased, and no checksum covers "
            "a part of a file"
        )


def _conclude(
    outcome: "Outcome", plans: "list[Plan]", options: "DownloadOptions", folder: Path, seconds: float
) -> None:
    """Say what was downloaded, then raise the error if something was not."""
    from pipeline.cli.options import duration, few, say, size
    from pipeline.wording import counted

    there = f"{counted(len(outcome.there), 'file')} already there" if outcome.there else ""
    if outcome.fetched:
        came = f"{counted(len(outcome.fetched), 'file')} downloaded, {size(outcome.received)} in {duration(seconds)}"
        say(f"{folder}: {came}{', ' + there if there else ''}")
    elif there:
        say(f"{folder}: nothing to download, {there}")
    if larger := [item for plan in plans for item in plan.larger_than(options)]:
        words = few([f"{item.word} ({'all' if item.lines is None else f'{item.lines:,}'})" for item in larger])
        say(
            f"  more than the first {counted(options.drawings_per_class or 0, 'drawing')} are already there, and are kept: {words}"
        )
    if outcome.unproved:
        say(f"  the server gave no checksum for {len(outcome.unproved)} of them: only their size was checked")
    if not outcome.failures:
        return
    first, *others = outcome.failures.values()
    if not others:
        raise first
    for error in outcome.failures.values():
        say(f"  {error}")
    others_are = "the others are" if outcome.fetched or outcome.there else "none is"
    raise type(first)(
        f"{counted(len(outcome.failures), 'file')} could not be downloaded: {few(list(outcome.failures))}; {others_are} in {folder}"
    ) from first
