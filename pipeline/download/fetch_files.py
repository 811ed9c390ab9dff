"""Downloads several files into a folder at once, and only those that are not there yet.

One file that fails stops no other. What stops all of them: a disk that takes no more, a server that is out of reach.
"""

import contextlib
import shutil
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial as bind
from pathlib import Path

from pipeline.download.bucket import check_words
from pipeline.download.fetch_file import Partial, fetch_file
from pipeline.download.plan import DownloadOptions, Item, Plan, examine
from pipeline.download.receipts import DOWNLOADS, drop_partials, partial_path, put_in_place, read_receipt
from pipeline.download.remote import ChangedError, Patience, Remote, UnreachableError
from pipeline.download.workers import Counter, each_on_threads
from pipeline.errors import OutputError, SketchpipeError
from pipeline.progress import Progress, untold
from pipeline.sources.files import SAMPLE_MARK
from pipeline.storage.locks import locked_file

CONNECTIONS = 8
_VERSIONS = 3  # of one file, before one that keeps changing is given up


@dataclass
class Outcome:
    """What came of a download.

    Attributes:
        there: words whose files were here already.
        fetched: words whose files were fetched.
        unproved: those of them that no checksum was given for.
        failures: the others, each with its error.
        received: bytes that came, those that were in vain among them.
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
    """Fetch each word's file into `folder`; files that are there already are left alone.

    Args:
        words: of Google's.
        folder: is made where it is missing.
        options: what to fetch of each.
        connections: files at a time.
        patience: with the server; the usual by default.
        begin: is told what will be done, before anything is fetched.
        progress: is told of bytes that have come.
        waiting: is told why the server is waited for and how long, from a thread that waits.

    Raises:
        InputError: a word is none of Google's, or the server is out of reach.
        UsageError: a word is empty, or the source is no address.
        OutputError: the folder is the sample's, or what is needed does not fit.
        LockedError: another process is fetching into it.
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
                progress("fetching", counter.total, plan.needed, unit="B", note=note)
    outcome.failures = {word: outcome.failures[word] for word in words if word in outcome.failures}
    return outcome


def _make_plan(
    ask: Callable[[str], Item],
    words: Sequence[str],
    folder: Path,
    outcome: Outcome,
    run: Callable[..., Generator[tuple[str, Item | Exception] | None, None, None]],
) -> Plan:
    """Ask for every word's file; those that cannot be had are noted as failures."""
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
    """Note what came of one file; raises what stops all of them."""
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
    """Fetch one file and put it in place; whether a checksum proved it, or covers no part of a file."""
    version = item.version
    for _ in range(_VERSIONS):
        beginning = partial_path(item.path, version)
        drop_partials(item.path, but=beginning)
        receipt = read_receipt(item.path)
        if receipt is not None and receipt.key == version.key and not beginning.exists():
            shutil.copyfile(item.path, beginning)  # some of its lines are here: go on behind them
        try:
            with contextlib.closing(
                Partial(beginning, version, options.drawings_per_class, options.form.bytes_per_line or 0)
            ) as partial:
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
    """Hold a folder for this process; nothing is left of a new one into which nothing came."""
    if (folder / SAMPLE_MARK).exists():
        raise OutputError(f"{folder}: is the built-in sample's; choose another folder with --to")
    is_new = not folder.exists()
    with contextlib.ExitStack() as stack:
        try:
            (folder / DOWNLOADS).mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked_file(
                folder / DOWNLOADS / "lock",
                lambda pid: f"{folder}: process {pid} is fetching into it; wait for it to end, or stop it",
            ))  # fmt: skip
        except FileExistsError as error:
            raise OutputError(f"{error.filename}: is no folder; move it, or choose another folder with --to") from error
        except OSError as error:
            raise OutputError(
                f"{folder}: cannot be written ({error.strerror}); choose another folder with --to"
            ) from error
        try:
            yield
        except OSError as error:
            where = error.filename or folder
            raise OutputError(
                f"{where}: cannot be written ({error.strerror or error}); what has come is kept: make room, run again"
            ) from error
        finally:
            if is_new and [entry.name for entry in folder.rglob("*")] == [DOWNLOADS, "lock"]:
                shutil.rmtree(folder)
