"""From sources to a folder of shards, in two passes of bounded memory.

Pass 1 parses chunks, admits drawings in the order of the sources, and spills them by range of their hash. Pass 2
writes each shard from its ranges. What comes out is a function of the drawings, the options and the seed alone.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.classes import resembling
from pipeline.errors import InputError, UsageError
from pipeline.shards.admit import Admission, Vocabulary
from pipeline.shards.commit import SPILL
from pipeline.shards.manifest import ATTRIBUTION, MANIFEST, REJECTS, SYNTHETIC, Manifest, SourceCount
from pipeline.shards.shuffle import SPLITS, order_hash, parse_splits, part_of, split_of
from pipeline.shards.spill import RANGES, Spill
from pipeline.shards.write import ShardPlan, WrittenShard, plan_shards, write_shard
from pipeline.sources.files import Source
from pipeline.sources.ndjson import BLOCK_BYTES, CHUNK_BYTES, Chunk, ScannedChunk, read_chunks, scan_chunk, source_hash
from pipeline.sources.rejects import Reject
from pipeline.threads import ordered_map

MAX_CLASSES = 1 << 16  # labels are uint16


@dataclass(frozen=True)
class BuildOptions:
    """What decides, beside the drawings, which bytes a build writes.

    Attributes:
        classes: the words to take; None takes every word there is.
        drawings_per_class: how many to take of each class; None takes all.
        skip_per_class: how many of each class to pass over before.
        recognized_only: leave out what Google's network did not recognize, or what does not say.
        num_shards: shards of the training split; None makes one for each million drawings.
        splits: shares of train, validation and test.
        seed: of the order; the splits do not depend on it.
    """

    classes: tuple[str, ...] | None = None
    drawings_per_class: int | None = None
    skip_per_class: int = 0
    recognized_only: bool = False
    num_shards: int | None = None
    splits: str = "0.8,0.1,0.1"
    seed: int = 0

    def __post_init__(self) -> None:
        parse_splits(self.splits)
        for name, least in (("drawings_per_class", 1), ("skip_per_class", 0), ("num_shards", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} {value}: expected {least} or more")
        if not 0 <= self.seed < 1 << 64:
            raise UsageError(f"seed {self.seed}: expected a whole number from 0 to 2**64 - 1")
        if self.num_shards is not None and self.num_shards > 99_999:
            raise UsageError(f"num_shards {self.num_shards}: expected at most 99999")
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            raise UsageError("a class is named twice")


@dataclass
class _Tally:
    """What pass 1 counts of one source."""

    read: int = 0
    filtered: int = 0
    rejected: int = 0
    end: int = 0
    blocks: list[bytes] = dataclasses.field(default_factory=list)
    declared: int | None = None
    stopped: bool = False


class Build:
    """One build into a staging folder; `run` does it all."""

    def __init__(
        self,
        sources: Sequence[Source],
        options: BuildOptions,
        staged: Path,
        *,
        synthetic: bool = False,
        workers: int = 1,
        strict: bool = False,
        chunk_bytes: int = CHUNK_BYTES,
        progress: Callable[[str, int], None] = lambda _phase, _amount: None,
    ) -> None:
        self.sources, self.options, self.staged = sources, options, staged
        self.synthetic, self.workers, self.strict, self.chunk_bytes = synthetic, workers, strict, chunk_bytes
        self.progress = progress
        self.splits = parse_splits(options.splits)
        self.words, self.countrycodes = Vocabulary(), Vocabulary()
        take = options.drawings_per_class
        classes = None if options.classes is None else frozenset(options.classes)
        self.admission = Admission(classes, options.skip_per_class, take, options.recognized_only, self.words)
        self.tallies = [_Tally() for _ in sources]
        self.reasons: Counter[str] = Counter()
        self.first_rejects: dict[int, Reject] = {}

    def run(self) -> Manifest:
        """Write shards, rejects and manifest into the staging folder.

        Raises:
            InputError: a source has no good line, a class has no drawing, or, if `strict`, a line is bad.
        """
        spill = Spill(self.staged.parent / SPILL)
        try:
            self._spill_sources(spill)
            classes = self._classes()
            shards = self._write_shards(spill, classes)
        finally:
            spill.close()
        (self.staged.parent / SPILL).unlink()
        manifest = self._manifest(classes, shards)
        (self.staged / MANIFEST).write_text(manifest.dump(), encoding="utf-8")
        return manifest

    def _spill_sources(self, spill: Spill) -> None:
        for tally, source in zip(self.tallies, self.sources, strict=True):
            tally.declared = None if source.declared is None else self.words.number(source.declared)
        with (self.staged / REJECTS).open("w", encoding="utf-8") as rejects:
            for index, scanned in ordered_map(self._scan, self._chunks(), self.workers):
                if self.tallies[index].stopped:
                    continue
                if isinstance(scanned, InputError):
                    raise scanned
                for reject in self._take_chunk(index, *scanned, spill):
                    rejects.write(json.dumps(reject.as_dict(), ensure_ascii=False) + "\n")
        if not self.reasons:
            (self.staged / REJECTS).unlink()
        spill.flush()
        for index, (tally, source) in enumerate(zip(self.tallies, self.sources, strict=True)):
            if tally.read == tally.rejected:
                why = self.first_rejects.get(index, f"{source.name}: it has no lines")
                raise InputError(f"{source.path}: no drawing in it; is it simplified Quick, Draw! ndjson? ({why})")

    def _chunks(self) -> Iterator[tuple[int, Chunk | InputError]]:
        for index, source in enumerate(self.sources):
            try:
                for chunk in read_chunks(source.path, chunk_bytes=self.chunk_bytes):
                    yield index, chunk
                    if self.tallies[index].stopped:
                        break
            except InputError as error:  # met by reading ahead, perhaps behind the last line that is wanted
                yield index, error

    def _scan(self, item: tuple[int, Chunk | InputError]) -> tuple[int, tuple[Chunk, ScannedChunk] | InputError]:
        index, chunk = item
        if isinstance(chunk, InputError):
            return index, chunk
        return index, (chunk, scan_chunk(chunk, self.sources[index].name))

    def _take_chunk(self, index: int, chunk: Chunk, scanned: ScannedChunk, spill: Spill) -> list[Reject]:
        """Admit and spill the drawings of a chunk; returns the bad lines up to where reading stops."""
        tally, drawings = self.tallies[index], scanned.drawings
        word = self.words.numbers(drawings.words, drawings.word)
        keep, read = self.admission.admit(word, drawings.recognized, tally.declared)
        if (word[:read] != tally.declared).any():
            tally.declared = None
        end = chunk.end
        rejects = scanned.rejects
        if read < len(drawings) or (read and self._enough(tally.declared)):
            tally.stopped, end = True, min(end, int(scanned.ends[read - 1]))
            rejects = [reject for reject in rejects if reject.offset < end]
        self.progress("read", end - tally.end)
        tally.end = end
        tally.blocks = (tally.blocks + chunk.blocks)[: -(-end // BLOCK_BYTES)]
        tally.read += read + len(rejects)
        tally.filtered += read - int(keep.sum())
        tally.rejected += len(rejects)
        self._note(index, rejects)
        if keep.any():
            kept = dataclasses.replace(drawings, word=word, words=self.words.strings).take(np.flatnonzero(keep))
            # Only now, or the codes of drawings behind the last one wanted would be in the shards' dictionaries.
            codes = self.countrycodes.numbers(kept.countrycodes, kept.countrycode)
            kept = dataclasses.replace(kept, countrycode=codes, countrycodes=self.countrycodes.strings)
            part = part_of(order_hash(kept.key_id, self.options.seed), RANGES)
            spill.add(kept, index, split_of(kept.key_id, self.splits) * RANGES + part)
        return rejects

    def _enough(self, declared: int | None) -> bool:
        admission, options = self.admission, self.options
        if declared is None:
            return False
        if admission.classes is not None and self.words.strings[declared] not in admission.classes:
            return True
        take = options.drawings_per_class
        return take is not None and bool(admission.passed[declared] >= options.skip_per_class + take)

    def _note(self, index: int, rejects: Sequence[Reject]) -> None:
        if rejects and self.strict:
            raise InputError(f"{rejects[0]} (--strict)")
        if rejects:
            self.first_rejects.setdefault(index, rejects[0])
        self.reasons.update(reject.reason for reject in rejects)

    def _classes(self) -> list[str]:
        """The classes in label order."""
        found = {word: int(count) for word, count in zip(self.words.strings, self.admission.accepted, strict=False)}
        if self.options.classes is None:
            classes = sorted(word for word, count in found.items() if count)
            if not classes:
                raise InputError("no drawing is left: every one is filtered out by the options")
            if len(classes) > MAX_CLASSES:
                raise InputError(f"{len(classes):,} words, but at most {MAX_CLASSES:,} classes: choose with --classes")
            return classes
        for word in self.options.classes:
            if not found.get(word):
                seen = [other for other, count in found.items() if count]
                near = resembling(word, dict.fromkeys((*seen, *resembling(word))))
                near = [other for other in near if other != word]
                hint = f"; did you mean {' or '.join(repr(other) for other in near[:3])}?" if near else ""
                raise InputError(f'class "{word}": no drawing of it in the sources{hint}')
        return sorted(self.options.classes)

    def _write_shards(self, spill: Spill, classes: list[str]) -> list[WrittenShard]:
        rows = spill.rows.reshape(len(SPLITS), RANGES).sum(axis=1)
        seed, sources = self.options.seed, len(self.sources)
        spill.finish(self.words.strings, classes, self.countrycodes.strings)

        def write(plan: ShardPlan) -> WrittenShard:
            written = write_shard(plan, self.staged, spill, seed, sources)
            self.progress("write", written.file.rows)
            return written

        return list(ordered_map(write, plan_shards(rows, self.options.num_shards), self.workers))

    def _manifest(self, classes: list[str], shards: list[WrittenShard]) -> Manifest:
        written = np.sum([shard.written for shard in shards], axis=0).tolist()
        duplicates = np.sum([shard.duplicates for shard in shards], axis=0).tolist()
        counts = {
            split: np.sum([shard.classes for shard in shards if shard.file.split == split], axis=0).tolist()
            for split in dict.fromkeys(shard.file.split for shard in shards)
        }
        sources = [
            SourceCount(source.name, tally.end, source_hash(tally.blocks), tally.read, written[k], duplicates[k],
                        tally.filtered, tally.rejected)
            for k, (source, tally) in enumerate(zip(self.sources, self.tallies, strict=True))
        ]  # fmt: skip
        for source in sources:
            if source.read != source.written + source.duplicates + source.filtered + source.rejected:
                raise AssertionError(f"{source.name}: drawings were lost or doubled: {source}")
        return Manifest(
            synthetic=self.synthetic,
            attribution=SYNTHETIC if self.synthetic else ATTRIBUTION,
            writer={"sketchpipe": version("sketchpipe"), "pyarrow": pa.__version__},
            options=dataclasses.asdict(self.options),
            classes=tuple(classes),
            counts={split: tuple(of_class) for split, of_class in counts.items()},
            same_key=sum(shard.same_key for shard in shards),
            files=tuple(shard.file for shard in shards),
            sources=tuple(sources),
            rejects=dict(sorted(self.reasons.items())),
        )
