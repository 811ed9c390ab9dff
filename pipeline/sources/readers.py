"""Reads every kind of source in the same way: chunks in order, each of which any thread can parse."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from pipeline.arrays import UInt8Array
from pipeline.drawings import Drawings, from_strokes
from pipeline.errors import DamagedError, InputError
from pipeline.sources.binary import read_binary_chunks, scan_binary_chunk
from pipeline.sources.chunks import CHUNK_BYTES, Chunk, Scanned, read_chunks
from pipeline.sources.compressed import Lost
from pipeline.sources.files import Source, refuse_unfit
from pipeline.sources.identity import ChangedError, Identity, refuse_change
from pipeline.sources.ndjson import scan_chunk
from pipeline.sources.notes import UNSURE, StrokeForms, count_notes, first_fault
from pipeline.sources.opening import open_source
from pipeline.sources.rejects import DAMAGED, Reject
from pipeline.sources.streams import find_lost
from pipeline.threads import ordered_map
from pipeline.wording import counted

HEAD_BYTES = 128 << 10  # of a source's beginning, enough to estimate the rest


def read_source(
    source: Source,
    *,
    start: int = 0,
    chunk_bytes: int = CHUNK_BYTES,
    expected: Identity | None = None,
    needed: Callable[[], int | None] = lambda: None,
    lost: Lost | None = None,
) -> Iterator[Chunk]:
    """Yield the chunks of a source from byte `start` on, where a line or record begins; the last may be only damage.

    Args:
        source: the source.
        start: where to begin.
        chunk_bytes: about how much is read at a time.
        expected: the identity that the file must have; None does not compare it.
        needed: is asked before each chunk up to which byte the source is needed, None if that is not known yet. Once it
            is known, nothing more is yielded but damage that concerns these bytes; the rest of the gzip member or zstd
            frame in which they end is decompressed for that.
        lost: what `find_lost` found: the source ends where that begins.

    Raises:
        InputError: it cannot be read, changes meanwhile, or is not the file with the `expected` identity.
    """
    with open_source(source, lost) as stream:
        opened = stream.identity()
        if expected is not None:
            refuse_change(source.path, expected, opened)
        read = read_binary_chunks if source.is_binary else read_chunks
        chunks = read(stream, start=start, chunk_bytes=chunk_bytes)
        end = start
        while (last := needed()) is None and (chunk := next(chunks, None)) is not None:
            end = chunk.end
            yield chunk if stream.proved >= end else replace(chunk, proved=stream.proved)
        stream.prove(end if last is None else last)
        if opened.is_regular:
            refuse_change(source.path, opened, stream.identity())
        if last is None or stream.proved < last:
            damage = stream.damage if stream.lost is None else str(stream.lost)
            if damage is not None:
                nothing: UInt8Array = np.empty(0, np.uint8)
                yield Chunk(nothing, end, end, None, nothing, damage, stream.lost, stream.proved)


def scan_source(source: Source, chunk: Chunk, needs_word: bool = True) -> Scanned:
    """What is in a chunk of a source; without `needs_word` a drawing may have no word, and then has the word ""."""
    if chunk.damage is not None:
        rejects = partial(_damaged_end, chunk.end, chunk.damage)
        nothing = from_strokes([], [])
        return Scanned(nothing, np.empty(0, np.int64), chunk.end, 0, rejects, lost=chunk.lost, proved=chunk.proved)
    if source.is_binary:
        assert source.declared is not None
        scanned = scan_binary_chunk(chunk, source.declared)
    else:
        scanned = scan_chunk(chunk, needs_word)
    return scanned if chunk.proved >= chunk.end else replace(scanned, proved=chunk.proved)


def _damaged_end(end: int, damage: str, name: str, lines: int) -> list[Reject]:
    """The one reject of the damaged end of a compressed file, which names the damage."""
    return [Reject(name, end, lines + 1, DAMAGED, f"{damage}; fetch the file anew")]


def damaged_error(source: Source, lost: Lost, drawings: int, remedy: str = "") -> DamagedError:
    """The error for a damaged gzip member, zstd frame or array, of which so many drawings were read.

    `remedy` is said after that the file can be fetched anew.
    """
    were = "was" if drawings == 1 else "were"
    read = (
        f"{counted(drawings, 'drawing')} that {were} read of it may be wrong" if drawings else "nothing of it is used"
    )
    return DamagedError(
        f"{source.path}: {lost.what}; {lost.member}, from byte {lost.start} on, is not proved by a checksum, so that "
        f"{read}; fetch the file anew with `sketchpipe download`{remedy}"
    )


@contextlib.contextmanager
def blaming_damage(source: Source) -> Iterator[None]:
    """Raise the error of a damaged member in place of an error about the content of a file.

    Wrong bytes may look like another kind of file, or like lines that end a command, before their checksum is read.
    """
    try:
        yield
    except ChangedError:
        raise
    except InputError as error:
        if source.is_file and (lost := find_lost(source.path)) is not None:
            raise damaged_error(source, lost, 0) from error
        raise


def read_parts(
    source: Source,
    reject: Callable[[Reject], object] = lambda _reject: None,
    workers: int = 1,
    *,
    needs_word: bool = True,
    strict: bool = False,
    notes: Counter[str] | None = None,
) -> Iterator[Drawings]:
    """The drawings of a source, one or more at a time, so that a source of any size can be read.

    Args:
        source: the source.
        reject: is called with each reject, before the drawings of its chunk are returned.
        workers: how many threads parse.
        needs_word: whether a line without a word is rejected; else its drawing has the word "".
        strict: whether the first reject is an error, and the first line of which something is noted.
        notes: counts what is noted of the drawings, by kind.

    Raises:
        InputError: the source cannot be read, its strokes may be misread, or more of its lines are rejected than not,
            which its end shows; or, if `strict`, a line is refused.
        DamagedError: a gzip member, a zstd frame or an array of it is damaged, so that drawings of it that were
            yielded may be wrong.
    """
    lines = drawings = rejected = unproved = end = 0
    first, forms = None, StrokeForms()
    with blaming_damage(source):
        for scanned in ordered_map(partial(scan_source, source, needs_word=needs_word), read_source(source), workers):
            read = len(scanned.drawings)
            if scanned.lost is not None:
                raise damaged_error(source, scanned.lost, unproved if scanned.proved < end else 0)
            unproved, end = scanned.unproved(read, unproved, end), scanned.end
            if strict and (fault := first_fault(scanned, read, None, source.name, lines)):
                raise InputError(fault)
            forms.look(scanned, read, source.name, lines)
            for one in scanned.rejects(source.name, lines):
                first = first or one
                rejected += one.reason != DAMAGED
                forms.look_at_reject(one)
                reject(one)
            if notes is not None:
                count_notes(scanned, read, notes)
            lines += scanned.lines
            if read:
                drawings += read
                yield scanned.drawings
        if notes is not None and forms.is_unsure(drawings):
            notes[UNSURE] += 1
        refuse_unfit(source, drawings, rejected, first)


def is_compressed(source: Source) -> bool:
    """Whether a file is compressed or converted, so that its size on disk tells less; a pipe must not be asked.

    Raises:
        InputError: it cannot be read.
    """
    with blaming_damage(source), open_source(source) as stream:
        return not stream.is_plain


def read_head(source: Source) -> tuple[Chunk, int]:
    """The first chunk of a file, and how many bytes the file has, decompressed: an estimate if it is compressed."""
    with blaming_damage(source), open_source(source) as stream:
        read = read_binary_chunks if source.is_binary else read_chunks
        for chunk in read(stream, chunk_bytes=HEAD_BYTES):
            if len(chunk.text) or chunk.end >= 64 * HEAD_BYTES:  # a first line may be longer than a head
                break
        if stream.is_plain:
            return chunk, stream.size
        while stream.offset < 64 * HEAD_BYTES and stream.file_offset < 4 * HEAD_BYTES:
            if not stream.read(HEAD_BYTES):
                return chunk, stream.offset
        return chunk, stream.size * stream.offset // stream.file_offset
