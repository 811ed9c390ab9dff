"""`sketchpipe download`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.download.fetch_files import Outcome
    from pipeline.download.plan import DownloadOptions, Plan

_NAMED = 5  # words in one line


def download(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CLASS]...", help="Google's words, as `sketchpipe classes` lists them."),
    ] = None,
    classes: Annotated[str | None, typer.Option(help='More words: "cat,hot dog" or @FILE.')] = None,
    everything: Annotated[bool, typer.Option("--all", help="All 345 words.")] = False,
    to: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the files; sketches/quickdraw by default, other formats with -raw, -binary or -numpy behind it."
        ),
    ] = None,
    format: Annotated[  # noqa: A002 - the option's name is the parameter's
        str, typer.Option(help="simplified or raw (ndjson), binary (.bin) or numpy (.npy, 28 x 28 bitmaps).")
    ] = "simplified",
    drawings_per_class: Annotated[
        int | None,
        typer.Option(
            help="Only so many drawings from the head of each file; they may be biased, and no checksum covers them."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A mirror with the bucket's folders below it; Google's bucket by default."),
    ] = None,
) -> None:
    """Fetch Google's Quick, Draw! files: 50 million drawings of 345 words, CC BY 4.0; no account is needed.

    Reads Google's public bucket, or a mirror of it, by way of HTTPS_PROXY if that is set; writes a <word>.ndjson, .bin
    or .npy a class. All of simplified is 23 GB; 10,000 drawings of each class about 1.8 GB. What was cut off goes on
    where it stopped; what is there, in its size and checksum, is not fetched again. Files that are somebody's own are
    never written over.

    Example: sketchpipe download cat "hot dog" --drawings-per-class 10000
    """
    from pipeline.download.bucket import SOURCE
    from pipeline.download.plan import DownloadOptions

    options = DownloadOptions(format, drawings_per_class, SOURCE if source is None else source)
    _fetch(_choose(words or [], classes, everything), to or Path(options.form.target), options)


def _fetch(chosen: tuple[str, ...], folder: Path, options: "DownloadOptions") -> None:
    """Fetch the chosen words' files, and say how that goes."""
    import time

    from pipeline.cli.options import say
    from pipeline.cli.progress import Bar
    from pipeline.download.fetch_files import download as fetch
    from pipeline.errors import SketchpipeError

    start = time.monotonic()
    plans: list[Plan] = []

    def begin(plan: "Plan") -> None:
        nonlocal start
        start = time.monotonic()
        plans.append(plan)
        _announce(plan, folder, options)

    try:
        with Bar() as bar:
            outcome = fetch(chosen, folder, options, begin=begin, progress=bar, waiting=lambda why: bar.say(f"  {why}"))
    except BaseException as error:
        if plans and not isinstance(error, SketchpipeError):
            say(f"{folder}: what has come is kept: the same command goes on from there")
        raise
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
    from pipeline.cli.options import counted, say, size

    if not plan.missing:
        return
    count, lines = len(plan.missing), options.drawings_per_class
    have = sum(min(item.have, item.total) for item in plan.missing)
    begun = f", {size(have)} of them are here already" if have else ""
    about = "about " if lines is not None else ""
    say(
        f"{folder}: fetching {counted(count, 'file')} from {options.source}: {about}{size(plan.needed)} needed{begun}, {size(plan.free)} free"
    )
    if lines is not None:
        say(
            f"  only the first {lines:,} drawings of each: the head of a file may be biased, and no checksum covers a part "
            "of a file"
        )


def _conclude(
    outcome: "Outcome", plans: "list[Plan]", options: "DownloadOptions", folder: Path, seconds: float
) -> None:
    """Say what came, then raise what did not."""
    from pipeline.cli.options import counted, duration, say, size

    there = f"{counted(len(outcome.there), 'file')} there already" if outcome.there else ""
    if outcome.fetched:
        came = f"{counted(len(outcome.fetched), 'file')} fetched, {size(outcome.received)} in {duration(seconds)}"
        say(f"{folder}: {came}{', ' + there if there else ''}")
    elif there:
        say(f"{folder}: nothing to fetch, {there}")
    if more := [named for plan in plans for named in _larger(plan, options)]:
        say(f"  more than the first {options.drawings_per_class:,} drawings are there already, and stay: {_few(more)}")
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
        f"{len(outcome.failures)} files could not be fetched: {_few(list(outcome.failures))}; {others_are} in {folder}"
    ) from first


def _larger(plan: "Plan", options: "DownloadOptions") -> list[str]:
    """The words of which more is here than was asked for, each with how much; whole files only by a guess."""
    wanted = options.drawings_per_class
    if wanted is None:
        return []
    there = [item for item in plan.items if item.is_there]
    guess = wanted * (options.form.bytes_per_line or 0)
    return [
        f"{item.word} ({'all' if item.lines is None else f'{item.lines:,}'})"
        for item in there
        if (item.version.size > guess if item.lines is None else item.lines > wanted)
    ]


def _few(names: list[str]) -> str:
    """A list of names, of which a long one ends with how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
