"""Downloads several files into a folder at once, and only those that are not there yet.

If one file fails, the others are still downloaded. A full disk and an unreachable server end the whole download.
"""

import contextlib
import shutil
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial as bind
from pathlib import Path

from pipeline.download.bucket import check_words
from pipeline.download.fetch_file import KEPT, Partial, fetch_file
from pipeline.download.plan import DownloadOptions, Item, Plan, examine
from pipeline.download.receipts import DOWNLOADS, drop_partials, partial_path, put_in_place, read_receipt
from pipeline.download.remote import ChangedError, Patience, Remote, UnreachableError
from pipeline.download.workers import Counter, each_on_threads
from pipeline.errors import OutputError, SketchpipeError
from pipeline.progress import Progress, untold
from pipeline.sources.files import SAMPLE_MARK
from pipeline.storage.commit import locked
from pipeline.storage.files import writing

CONNECTIONS = 8
_VERSIONS = 3  # of one file that keeps changing, before the download gives up


@dataclass
class Outcome:
    """The outcome of a download.

    Attributes:
        there: words whose files were already in the folder.
        fetched: words whose files were downloaded.
        unproved: those of the downloaded words for whose files the server gave no checksum.
        failures: the other words, each with its error.
        received: how many bytes were received, including those that had to be discarded.
    """

    there: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    unproved: list[str] = field(default_factory=list)
    failures: dict[str, SketchpipeError] = field(default_factory=dict)
    received: int = 0


def download(
    words: Sequence[str],
    folder: Path,
    options: DownloadOptions,
    *,
    connections: int = CONNECTIONS,
    patience: Patience | None = None,
    begin: Callable[[Plan], None] = lambda _plan: None,
    progress: Progress = untold,
    waiting: Callable[[str], None] = lambda _said: None,
) -> Outcome:
    """Download each word's file into `folder`; files that are already there are kept.

    Args:
        words: words of Google's.
        folder: the target; it is created if it does not exist.
        options: what to download of each file.
        connections: how many files to download at a time.
        patience: when to retry and when to give up; None takes the defaults.
        begin: is called with the plan before anything is downloaded.
        progress: is called with the number of bytes received.
        waiting: is called with a message before a wait for the server, from the thread that waits.

    Raises:
        InputError: a word is not one of Google's, or the server cannot be reached.
        UsageError: a word is empty, or the source is not an address.
        OutputError: the folder is the sample's, or the files do not fit on the disk.
        LockedError: another process is downloading into the folder.
    """
    words = check_words(words)
    stop = threading.Event()
    remote = Remote(options.source, connections, patience or Patience(), stop, waiting)
    outcome = Outcome()
    run = bind(each_on_threads, workers=connections, stop=stop)
    with contextlib.closing(remote), _held(folder):
        plan = _make_plan(bind(examine, remote, folder, options), words, folder, outcome, run)
        if plan.items:
            begin(plan)
        if (room := plan.room(connections)) > plan.free:
            raise OutputError(
                f"{folder}: {room:,} bytes are needed, {plan.free:,} are free; make room, choose fewer classes "
                "or --drawings-per-class, or another folder with --to"
            )
        counter = Counter()
        with contextlib.closing(run(bind(_fetch, remote, options, counter.add), plan.missing)) as results:
            for result in results:
                outcome.received = counter.total
                if result is not None:
                    _note(outcome, *result)
                note = f"{len(outcome.fetched)} of {len(plan.missing)} files"
                progress("downloading", counter.total, plan.needed, unit="B", note=note)
    outcome.failures = {word: outcome.failures[word] for word in words if word in outcome.failures}
    return outcome


def _make_plan(
    ask: Callable[[str], Item],
    words: Sequence[str],
    folder: Path,
    outcome: Outcome,
    run: Callable[..., Generator[tuple[str, Item | Exception] | None, None, None]],
) -> Plan:
    """Ask the server about every word's file; those that cannot be downloaded are noted as failures."""
    items = {}
    with contextlib.closing(run(ask, words)) as results:
        for result in results:
            match result:
                case (word, Item() as item):
                    items[word] = item
                case (_, UnreachableError() as error):
                    raise error
                case (word, SketchpipeError() as error):
                    outcome.failures[word] = error
                case (_, Exception() as error):
                    raise error
    outcome.there = [word for word in words if word in items and items[word].is_there]
    return Plan(tuple(items[word] for word in words if word in items), shutil.disk_usage(folder).free)


def _note(outcome: Outcome, item: Item, result: bool | Exception) -> None:
    """Note the result for one file; raises errors that end the whole download."""
    if isinstance(result, UnreachableError | OutputError) or (
        isinstance(result, Exception) and not isinstance(result, SketchpipeError)
    ):
        raise result
    if isinstance(result, SketchpipeError):
        outcome.failures[item.word] = result
        return
    outcome.fetched.append(item.word)
    if not result:
        outcome.unproved.append(item.word)


def _fetch(remote: Remote, options: DownloadOptions, received: Callable[[int], None], item: Item) -> bool:
    """Download one file and put it in place; False if it is a whole file that no checksum could check."""
    version = item.version
    for _ in range(_VERSIONS):
        beginning = partial_path(item.path, version)
        drop_partials(item.path, but=beginning)
        receipt = read_receipt(item.path)
        if receipt is not None and receipt.key == version.key and not beginning.exists():
            shutil.copyfile(item.path, beginning)  # has some of its lines: resume after them
        try:
            with contextlib.closing(Partial(beginning, version, options.form, options.drawings_per_class)) as partial:
                fetch_file(remote, item.url, partial, received)
        except ChangedError as error:
            changed = error
            version = remote.version(item.url)
            continue
        put_in_place(item.path, beginning, options.format, version, None if partial.is_whole else partial.lines)
        return not partial.is_whole or version.has_checksum
    raise changed


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Lock a folder for this process; a new folder into which nothing was downloaded is removed again."""
    if (folder / SAMPLE_MARK).exists():
        raise OutputError(f"{folder}: holds the built-in sample; choose another folder with --to")
    with locked(folder, DOWNLOADS, "is downloading into it; wait for it to end, or stop it"), writing(folder, KEPT):
        yield
