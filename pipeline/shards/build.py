"""Builds a folder of shards from sources, in two passes of bounded memory.

Pass 1 parses chunks, admits drawings in the order of the sources, and spills them by range of their hash. Pass 2
writes each shard from its ranges. The shards depend only on the drawings, the options and the seed. A journal records
what is done, so that an interrupted build can be resumed.
"""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.progress import Progress, untold
from pipeline.shards.intake import Intake
from pipeline.shards.journal import JOURNAL, Journal
from pipeline.shards.layout import ShardPlan, plan_shards
from pipeline.shards.manifest import (
    ATTRIBUTION,
    MANIFEST,
    REJECTS,
    SHARDS,
    SYNTHETIC,
    Manifest,
    ShardFile,
    SourceCount,
    file_hash,
)
from pipeline.shards.options import USUAL_SIZES, BuildOptions, BuildSizes
from pipeline.shards.origin import Watch
from pipeline.shards.shuffle import SPLITS
from pipeline.shards.spill import RANGES, SpillReader
from pipeline.shards.twins import Twins
from pipeline.shards.write import ShardWriter, WrittenShard, vocabularies
from pipeline.sources.files import Source
from pipeline.storage.files import sync, write_file
from pipeline.threads import brisk_switching, ordered_map

WRITING = "pass 2 of 2, writing"


class Build:
    """One build, staged in a locked folder; `run` does all of it, or what an earlier process has not done.

    The spill and the journal are kept beside the staged files, and are removed when the staged set is committed.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        options: BuildOptions,
        folder: Path,
        *,
        synthetic: bool = False,
        workers: int = 1,
        strict: bool = False,
        keep_going: bool = False,
        sizes: BuildSizes = USUAL_SIZES,
        work: dict[str, Any] | None = None,
        progress: Progress = untold,
        watch: Watch | None = None,
    ) -> None:
        self.sources, self.options, self.sizes = sources, options, sizes
        self.synthetic, self.workers, self.progress = synthetic, workers, progress
        self.folder, self.staged, kept = folder, SHARDS.staged_path(folder), SHARDS.work_path(folder)
        self.spill = kept / "spill"
        how = {"strict": strict, "keep_going": keep_going, **versions()}
        self.journal = Journal(kept / JOURNAL, {**(work or {}), **how})
        self.intake = Intake(
            sources, options, spill=self.spill, rejects=self.staged / REJECTS, journal=self.journal, workers=workers,
            strict=strict, keep_going=keep_going, sizes=sizes, progress=progress, watch=watch,
        )  # fmt: skip

    def run(self) -> Manifest:
        """Write shards, rejects and manifest into the staging folder.

        Raises:
            InputError: a source has no valid line, a class has no drawing, or, if `strict`, a line is rejected.
            DamagedError: a compressed source is damaged, unless the build keeps going.
        """
        SHARDS.prepare(self.folder)
        with self.journal.opened(), brisk_switching():
            self.intake.resume()
            if not self.journal.entries:
                self._remove_other_work()
            self.intake.run()
            classes = self.intake.counts.classes()
            with closing(SpillReader(self.spill, self.intake.segments)) as spill, self.intake.twins(spill) as twins:
                shards = self._write_shards(classes, spill, twins)
        if not self.intake.counts.reasons:
            (self.staged / REJECTS).unlink(missing_ok=True)
        manifest = self._manifest(classes, shards)
        write_file(self.staged / MANIFEST, manifest.dump())
        return manifest

    @property
    def partly(self) -> tuple[int, ...]:
        """The numbers of the sources that were not read to their end, because no more of them was wanted."""
        return tuple(number for number, tally in enumerate(self.intake.counts.tallies) if tally.stopped)

    def _remove_other_work(self) -> None:
        """Remove the files that an interrupted build of other sources or options left."""
        for file in self.staged.iterdir():
            file.unlink()
        self.spill.unlink(missing_ok=True)

    def _write_shards(self, classes: list[str], spill: SpillReader, twins: Twins | None) -> list[WrittenShard]:
        counts = self.intake.counts
        named = vocabularies(counts.words.strings, classes, counts.countrycodes.strings)
        writer = ShardWriter(
            spill, named, seed=self.options.seed, sources=len(self.sources), twins=twins,
            sizes=self.sizes,
        )  # fmt: skip
        done = {entry["name"]: WrittenShard.load(entry["shard"]) for entry in self.journal.entries if "shard" in entry}

        def write(plan: ShardPlan) -> tuple[ShardPlan, WrittenShard]:
            before = done.get(plan.name)
            if before is not None and _is_there(self.staged / plan.name, before.file):
                return plan, before
            return plan, writer.write(plan, self.staged)

        def note(plan: ShardPlan, shard: WrittenShard) -> None:
            sync(self.staged / plan.name)
            self.journal.append({"name": plan.name, "shard": shard.dump()})

        shards = []
        rows, total = 0, int(spill.rows.sum())
        self.progress(WRITING, rows, total, unit="drawings")
        plans = plan_shards(spill.rows.reshape(len(SPLITS), RANGES).sum(axis=1), self.options.num_shards)
        with ThreadPoolExecutor(1) as noting:  # syncs a shard to disk while the next one is written
            noted: deque[Future[None]] = deque()
            for plan, shard in ordered_map(write, plans, self.workers):
                if shard is not done.get(plan.name):
                    noted.append(noting.submit(note, plan, shard))
                rows += shard.file.rows
                self.progress(WRITING, rows, total, unit="drawings")
                shards.append(shard)
                while noted and noted[0].done():
                    noted.popleft().result()  # a failure stops the build now, not at its end
            for future in noted:
                future.result()
        return shards

    def _manifest(self, classes: list[str], shards: list[WrittenShard]) -> Manifest:
        written = np.sum([shard.written for shard in shards], axis=0).tolist()
        duplicates = np.sum([shard.duplicates for shard in shards], axis=0).tolist()
        counts = {
            split: np.sum([shard.classes for shard in shards if shard.file.split == split], axis=0).tolist()
            for split in dict.fromkeys(shard.file.split for shard in shards)
        }
        tallies = zip(self.sources, self.intake.counts.tallies, strict=True)
        sources = [
            SourceCount(source.name, tally.end, tally.hash, tally.read, written[k], duplicates[k], tally.filtered,
                        tally.rejected)
            for k, (source, tally) in enumerate(tallies)
        ]  # fmt: skip
        for source in sources:
            if source.read != source.written + source.duplicates + source.filtered + source.rejected:
                raise AssertionError(f"{source.name}: drawings were lost or duplicated: {source}")
        keyless_duplicates = sum(shard.keyless_duplicates for shard in shards)
        return Manifest(
            synthetic=self.synthetic,
            attribution=SYNTHETIC if self.synthetic else ATTRIBUTION,
            writer=versions(),
            options=self.options.stored(),
            classes=tuple(classes),
            counts={split: tuple(of_class) for split, of_class in counts.items()},
            same_key=sum(shard.same_key for shard in shards),
            files=tuple(shard.file for shard in shards),
            sources=tuple(sources),
            rejects=dict(sorted(self.intake.counts.reasons.items())),
            rejects_sha256=self.intake.rejects_sha256 if self.intake.counts.reasons else None,
            left_out=self.intake.counts.left_out,
            keyless_duplicates=keyless_duplicates if self.intake.counts.takes_both else None,
            notes=self.intake.counts.noted or None,
            damaged_files=self.intake.counts.damaged_files,
        )


def _is_there(path: Path, shard: ShardFile) -> bool:
    """Whether a shard that an earlier process staged is there as it was written."""
    return path.is_file() and path.stat().st_size == shard.bytes and file_hash(path) == shard.sha256


def versions() -> dict[str, str]:
    """The versions on which, beside drawings and options, the bytes of the shards depend."""
    return {"sketchpipe": version("sketchpipe"), "pyarrow": pa.__version__}
