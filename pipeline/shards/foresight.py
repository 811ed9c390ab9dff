"""Foresees, from the beginnings of its sources, why a build would be refused."""

import contextlib
from collections.abc import Sequence

from pipeline.classes import missing_class
from pipeline.errors import DamagedError, InputError
from pipeline.shards.intake import LEAVE_OUT
from pipeline.shards.options import BuildOptions
from pipeline.shards.tally import Counts
from pipeline.sources.files import Source, refuse_pipes
from pipeline.sources.readers import HEAD_BYTES, blaming_damage, damaged_error, read_parts, read_source, scan_source

_MOST_BYTES = 64 * HEAD_BYTES  # read of a source that begins with one very long line


def foresee_refusals(
    sources: Sequence[Source], options: BuildOptions, *, strict: bool = False, keep_going: bool = False
) -> None:
    """Raise the error with which a build would be refused, as far as the beginnings of its sources show.

    A source is read to its end if its beginning has more rejects than drawings. A class is called missing if no
    beginning and no file's name has it, unless a source of several words goes on after its beginning. The lines of a
    file of one word are not judged if a limit may end its reading before them, which depends on longer files before it.

    Raises:
        InputError: the build would be refused, or a source is no file, so that its beginning could be read only once.
        DamagedError: a compressed source is damaged at its beginning, and the build would not keep going.
    """
    refuse_pipes(sources, "a dry run")
    counts = Counts(sources, options)
    whole: set[int] = set()
    judged: set[int] = set()
    for k, source in enumerate(sources):
        is_limited = options.drawings_per_class is not None and len(whole) < k and source.declared is not None
        with blaming_damage(source):
            if _count(k, source, counts, strict and not is_limited, keep_going):
                whole.add(k)
        if not is_limited:
            judged.add(k)
    counts.refuse_unfit(whole & judged)
    for k, (source, tally) in enumerate(zip(sources, counts.tallies, strict=True)):
        if k in judged - whole and 2 * tally.rejected > tally.read:
            with contextlib.suppress(*([DamagedError] if keep_going else [])):
                for _ in read_parts(source):  # raises the error
                    pass
    if len(whole) == len(sources):
        counts.classes()
    elif all(k in whole or tally.declared is not None for k, tally in enumerate(counts.tallies)):
        for word in options.classes or ():
            if word not in counts.words.strings:
                raise InputError(missing_class(word, counts.words.strings))


def _count(number: int, source: Source, counts: Counts, strict: bool, keep_going: bool) -> bool:
    """Count what is in the beginning of a source; returns whether a build reads no more than that."""
    tally = counts.tallies[number]
    for chunk in read_source(source, chunk_bytes=HEAD_BYTES):
        if tally.read and len(chunk.text):
            return False
        scanned = scan_source(source, chunk)
        if scanned.lost is not None:
            if not keep_going:
                unproved = tally.unproved if scanned.proved < tally.end else 0
                raise damaged_error(source, scanned.lost, unproved, LEAVE_OUT)
            tally.dropped = True
        _, _, read, end = counts.admit(number, scanned, strict=strict)
        before = tally.rejected
        for reject in scanned.rejects(source.name, tally.lines):
            if tally.stopped and reject.offset >= end:
                break
            counts.note_reject(number, reject)
        tally.unproved, tally.end = scanned.unproved(read, tally.unproved, tally.end), end
        tally.lines += scanned.lines
        tally.read += read + tally.rejected - before
        if tally.stopped:
            return True
        if chunk.end > _MOST_BYTES:
            return False
    return True
