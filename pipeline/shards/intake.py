"""Pass 1: parses the sources on threads, admits drawings in order, and spills them by range of their hash.

With each segment of the spill, the journal records how far the sources are read, so that a later process can resume.

A gzip member or zstd frame whose end is damaged gives no row: the build ends, or, if it is to keep going, the sources
from there on are decompressed once to find what each loses, and pass 1 begins anew without that.
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from pipeline.errors import DamagedError, InputError
from pipeline.progress import Progress, untold
from pipeline.shards.journal import Entry, Journal
from pipeline.shards.layout import ShardPlan
from pipeline.shards.options import USUAL_SIZES, BuildOptions, BuildSizes
from pipeline.shards.origin import Watch
from pipeline.shards.parse import Parsed, Parser
from pipeline.shards.shuffle import parse_splits
from pipeline.shards.spill import Gathered, Segment, SpillReader, SpillWriter, gathered, read_segments
from pipeline.shards.tally import Counts
from pipeline.shards.twins import Twins, find_twins
from pipeline.sources.chunks import Chunk, Scanned
from pipeline.sources.compressed import Lost
from pipeline.sources.files import Source
from pipeline.sources.readers import damaged_error, read_source
from pipeline.sources.streams import find_lost
from pipeline.storage.files import Output, hash_of_first
from pipeline.threads import ordered_map
from pipeline.wording import counted

LEAVE_OUT = ", or build without this member and all after it: `sketchpipe shards --keep-going`"
_REJECTS_A_WRITE = 1024


class _UnprovedError(Exception):
    """Rows were taken of a member that is damaged; they have to be left out."""


class Intake:
    """Pass 1 of one build: `resume` loads what an earlier process did, `run` does the rest.

    With `only`, all drawings are read and counted, but only those of these shards are spilled.

    Attributes:
        counts: the counts so far.
        segments: the segments of the spill so far.
        is_done: whether all sources are read.
        rejects_sha256: SHA-256, in hex, of the list of rejects so far, as it was written.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        options: BuildOptions,
        *,
        spill: Path,
        rejects: Path,
        journal: Journal,
        only: Sequence[ShardPlan] | None = None,
        workers: int = 1,
        strict: bool = False,
        keep_going: bool = False,
        sizes: BuildSizes = USUAL_SIZES,
        progress: Progress = untold,
        watch: Watch | None = None,
    ) -> None:
        self.sources, self.options, self.journal, self._only = sources, options, journal, only
        self._parser = Parser(sources, options, only)
        self._watch = Watch(sources) if watch is None else watch
        self.workers, self.strict, self.sizes, self.progress = workers, strict, sizes, progress
        self._keep_going = keep_going
        self._lost: dict[int, Lost] | None = None  # what each damaged source loses, once that was looked for
        self.counts = Counts(sources, options)
        self.segments: list[Segment] = []
        self.is_done = False
        self._spill, self._rejects, self._rejects_bytes = spill, rejects, 0
        self._rejects_hash = hashlib.sha256()  # of the first `_rejects_bytes`
        self._bytes = self._drawings = 0  # read so far, including by earlier processes
        self._unnoted_bytes = 0  # of input, read since the last entry of the journal

    def resume(self) -> None:
        """Load what the journal records; if the spill or the rejects are missing or damaged, clear the journal."""
        known = [entry["lost"] for entry in self.journal.entries if "lost" in entry]
        entries = [entry for entry in self.journal.entries if "segment" in entry]
        if known:
            self._lost = {int(number): Lost(**lost) for number, lost in known[-1].items()}
        if not entries:
            return
        segments = read_segments(self._spill, [entry["segment"] for entry in entries])
        length, expected = entries[-1]["rejects"]
        listed = hash_of_first(self._rejects, length)
        if segments is None or listed.hexdigest() != expected:
            self.journal.forget()
            self._lost = None
            return
        self.counts.load(entries)
        self.segments, self.is_done = segments, entries[-1]["done"]
        self._rejects_bytes, self._rejects_hash = length, listed
        Output(self._rejects, keep=length).close()  # what follows is not proved

    @property
    def rejects_sha256(self) -> str:  # noqa: D102 - see the class
        return self._rejects_hash.hexdigest()

    def run(self) -> None:
        """Read the rest of the sources.

        Raises:
            InputError: a source cannot be read, is of other content or has strokes that may be misread, or, if
                `strict`, a line is rejected or something is noted of it.
            DamagedError: a compressed source is damaged, unless the build keeps going.
        """
        if self.is_done:
            self._begin()
        else:
            try:
                self._run()
            except _UnprovedError:
                self._begin_anew()
                self._run()
        if self._only is None:  # what was built is repaired, whatever its sources
            self.counts.refuse_unfit()

    def _begin(self) -> None:
        """Tell how much earlier processes have read."""
        tallies = self.counts.tallies
        self._bytes, self._drawings = sum(tally.end for tally in tallies), sum(tally.read for tally in tallies)
        self._tell()

    def _run(self) -> None:
        self._begin()
        with (
            Output(self._spill, keep=self.segments[-1].end if self.segments else 0) as spill,
            Output(self._rejects, keep=self._rejects_bytes, sha256=self._rejects_hash) as rejects,
        ):
            self._read_sources(SpillWriter(spill, self.sizes.segment_bytes), rejects)

    def _begin_anew(self) -> None:
        """Find what each source loses, from the one that was being read on, and forget all that was taken."""
        numbers = range(self.counts.at, len(self.sources))
        every: dict[int, Lost] = {}
        found = ordered_map(lambda number: find_lost(self.sources[number].path), numbers, self.workers)
        for done, (number, lost) in enumerate(zip(numbers, found, strict=True)):
            self.progress("looking for other damage", done, len(numbers), unit="files")
            if lost is not None:
                every[number] = lost
        self.counts, self.segments = Counts(self.sources, self.options), []
        self._rejects_bytes, self._rejects_hash = 0, hashlib.sha256()
        self.journal.forget()
        self.journal.append({"lost": {str(number): dataclasses.asdict(lost) for number, lost in every.items()}})
        self._lost = every

    @contextlib.contextmanager
    def twins(self, spill: SpillReader) -> Iterator[Twins | None]:
        """Compare the drawings without a key_id with the others; None if all that were taken are of one kind."""
        if not self.counts.takes_both:
            yield None
            return
        path, words = self._spill.with_name("hashes"), self.counts.words.strings
        with contextlib.closing(
            find_twins(
                spill, words, path, seed=self.options.seed, splits=parse_splits(self.options.splits),
                workers=self.workers, progress=self.progress,
            )
        ) as twins:  # fmt: skip
            yield twins

    def _read_sources(self, spill: SpillWriter, rejects: Output) -> None:
        with ThreadPoolExecutor(1) as writing:  # writes segments while the next drawings are parsed
            written: Future[None] | None = None
            for parsed in ordered_map(self._parser.parse, self._chunks(), self.workers):
                if self._is_over(parsed):
                    continue
                try:
                    if isinstance(parsed.scanned, InputError):
                        raise parsed.scanned
                    self._take(parsed, parsed.scanned, spill, rejects)
                except InputError as error:
                    self._blame_damage(parsed.source, error)
                    raise
                if spill.is_full or self._unnoted_bytes > self.sizes.segment_input_bytes:
                    if written is not None:
                        written.result()
                    written = writing.submit(self._write_segment, spill, spill.take(), rejects, self._entry(rejects))
            if written is not None:
                written.result()
        self._write_segment(spill, spill.take(), rejects, {**self._entry(rejects), "done": True})

    def _is_over(self, parsed: Parsed) -> bool:
        """Whether a chunk comes after the last line of its source that is needed; raises an error for damage."""
        number, scanned, tally = parsed.source, parsed.scanned, self.counts.tallies[parsed.source]
        if isinstance(scanned, InputError):
            if tally.stopped and tally.taken and tally.unproved:
                raise scanned
            return tally.stopped
        if scanned.lost is None:
            return tally.stopped
        source, unproved = self.sources[number], tally.unproved if scanned.proved < tally.end else 0
        if tally.stopped and (scanned.proved >= tally.end or not tally.taken):
            return True
        if not self._keep_going:
            raise damaged_error(source, scanned.lost, unproved, LEAVE_OUT)
        if scanned.proved >= tally.end:
            return False
        raise self._leaving_out(number, scanned.lost)

    def _blame_damage(self, number: int, error: InputError) -> None:
        """Raise the error of a damaged member, if its wrong bytes may be why a source is refused before their checksum.

        Raises:
            DamagedError: the source is damaged.
        """
        source, tally = self.sources[number], self.counts.tallies[number]
        self._watch.look(number)
        if self._lost is None and source.is_file and (lost := find_lost(source.path)) is not None:
            if self._keep_going:
                raise self._leaving_out(number, lost) from error
            raise damaged_error(source, lost, tally.unproved, LEAVE_OUT) from error

    def _leaving_out(self, number: int, lost: Lost) -> Exception:
        """What ends pass 1, so that it begins anew without what sources lose; an error if it cannot."""
        path = self.sources[number].path
        if pipes := [one.path for k, one in enumerate(self.sources) if self._watch.identity(k) is None]:
            return DamagedError(
                f"{path}: {lost.what}; --keep-going reads all sources a second time without that, but "
                f"{pipes[0]} is a pipe, which can be read only once; give a file"
            )
        if self._lost is not None:
            return DamagedError(f"{path}: {lost.what}; it was not before: the file changes, or its disk fails")
        self.counts.at = number
        return _UnprovedError()

    def _tell(self) -> None:
        self.progress("pass 1 of 2, reading", self._bytes, unit="B", note=counted(self._drawings, "drawing"))

    def _entry(self, rejects: Output) -> Entry:
        """The journal's entry, to be appended once everything up to here is on disk."""
        self._unnoted_bytes = 0
        return {"done": False, "rejects": [rejects.tell(), rejects.sha256], **self.counts.dump()}

    def _write_segment(self, spill: SpillWriter, waiting: Sequence[Gathered], rejects: Output, entry: Entry) -> None:
        segment = spill.write(waiting)
        rejects.sync()
        self.segments.append(segment)
        self.journal.append({**entry, "segment": [segment.offset, segment.end, segment.code]})

    def _chunks(self) -> Iterator[tuple[int, Chunk | InputError]]:
        for index in range(self.counts.at, len(self.sources)):
            tally, expected = self.counts.tallies[index], self._watch.identity(index)
            try:
                for chunk in read_source(
                    self.sources[index], start=tally.end, chunk_bytes=self.sizes.chunk_bytes, expected=expected,
                    needed=tally.needed, lost=(self._lost or {}).get(index),
                ):  # fmt: skip
                    yield index, chunk
                self._watch.look(index)
            except InputError as error:  # found by reading ahead, perhaps after the last line that is needed
                yield index, error

    def _take(self, parsed: Parsed, scanned: Scanned, spill: SpillWriter, rejects: Output) -> None:
        """Admit and spill the drawings of a chunk, and list its rejects, up to where reading stops."""
        counts, tally, drawings = self.counts, self.counts.tallies[parsed.source], scanned.drawings
        word, keep, read, end = counts.admit(parsed.source, scanned, strict=self.strict)
        bad = self._list_rejects(parsed.source, scanned, end, rejects)
        self._bytes, self._drawings = self._bytes + end - tally.end, self._drawings + read
        self._tell()
        self._unnoted_bytes += end - tally.end
        tally.unproved, tally.end = scanned.unproved(read, tally.unproved, tally.end), end
        tally.dropped |= scanned.lost is not None
        tally.add_blocks(parsed.blocks)
        tally.lines += scanned.lines
        tally.read += read + bad
        tally.filtered += read - int(keep.sum())
        counts.keyless += int((keep & parsed.keyless).sum())
        if keep.any():
            code = counts.number_countrycodes(drawings, keep, strict=self.strict)
            kept = dataclasses.replace(drawings, word=word, countrycode=code)
            spill.add(gathered(kept, parsed.source, np.where(keep, parsed.partition, -1)))

    def _list_rejects(self, source: int, scanned: Scanned, end: int, rejects: Output) -> int:
        """List and count the rejects of a chunk that begin before byte `end` of the source; returns their number."""
        tally, listed = self.counts.tallies[source], []
        before = tally.rejected
        for reject in scanned.rejects(self.sources[source].name, tally.lines):
            if tally.stopped and reject.offset >= end:
                break
            self.counts.note_reject(source, reject)
            listed.append(json.dumps(dataclasses.asdict(reject), ensure_ascii=False) + "\n")
            if len(listed) == _REJECTS_A_WRITE:
                rejects.write("".join(listed).encode())
                listed.clear()
        if listed:
            rejects.write("".join(listed).encode())
        return tally.rejected - before
