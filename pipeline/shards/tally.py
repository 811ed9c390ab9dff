"""Counts of pass 1 for each source, and their form in the journal."""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.classes import missing_class
from pipeline.drawings import Drawings
from pipeline.errors import InputError
from pipeline.shards.admit import Admission, Vocabulary
from pipeline.shards.journal import Entry
from pipeline.shards.options import BuildOptions
from pipeline.sources.chunks import BLOCK_BYTES, Scanned
from pipeline.sources.files import Source, no_drawing_in, refuse_unfit
from pipeline.sources.limits import MAX_CLASSES, MAX_COUNTRYCODES
from pipeline.sources.notes import CROWDED, UNSURE, StrokeForms, count_notes, first_fault
from pipeline.sources.rejects import DAMAGED, Reject


@dataclass
class Tally:
    """The counts of one source.

    Attributes:
        read: lines that are not blank, or records.
        filtered: drawings that the options leave out.
        rejected: how many of them were rejected.
        lines: lines, blank ones included.
        end: the byte after the last line that was read.
        declared: the number of the word that the file's name declares, as long as no other was read; or None.
        stopped: whether no more of the source is needed.
        first_reject: the first reject as text, or None.
        damaged: whether its compressed file has a damaged end, which is a reject but no line.
        blocks: the XXH64 of each block that was read, in hex.
        forms: where it has strokes that may be points.
    """

    read: int = 0
    filtered: int = 0
    rejected: int = 0
    lines: int = 0
    end: int = 0
    declared: int | None = None
    stopped: bool = False
    first_reject: str | None = None
    damaged: bool = False
    blocks: list[str] = field(default_factory=list)
    forms: StrokeForms = field(default_factory=StrokeForms)

    def add_blocks(self, hashes: Sequence[str]) -> None:
        """Add the hashes of the next blocks; those after the last line that is needed are dropped."""
        self.blocks.extend(hashes)
        if self.stopped:
            del self.blocks[-(-self.end // BLOCK_BYTES) :]

    @property
    def hash(self) -> str:
        """SHA-256, in hex, over the XXH64 of the blocks."""
        return hashlib.sha256(b"".join(bytes.fromhex(block) for block in self.blocks)).hexdigest()


class Counts:
    """The counts of pass 1 for all sources.

    Attributes:
        tallies: one a source.
        words, countrycodes: the vocabularies of the spilled drawings.
        admission: which drawings are taken, and how many were.
        reasons: how many rejects there are by reason.
        left_out: how many drawings were read that the option `leave_out` names.
        keyless: how many of the drawings that were taken have their content hash for a key_id.
        notes: what is noted of the lines that were read, by kind.
        at: the number of the source that is being read.
    """

    def __init__(self, sources: Sequence[Source], options: BuildOptions) -> None:
        self.sources, self.options = sources, options
        self.words, self.countrycodes = Vocabulary(), Vocabulary(most=MAX_COUNTRYCODES)
        classes = None if options.classes is None else frozenset(options.classes)
        self.admission = Admission(
            classes, options.skip_per_class, options.drawings_per_class, options.recognized_only, self.words
        )
        declared = [None if source.declared is None else self.words.number(source.declared) for source in sources]
        self.tallies = [Tally(declared=word) for word in declared]
        self._known = None if classes is None else classes.union(self.words.strings)
        self.reasons: Counter[str] = Counter()
        self._leave_out = np.array(options.leave_out, np.uint64)
        self.left_out = 0
        self.keyless = 0
        self.notes: Counter[str] = Counter()
        self.at = 0
        self._noted = [0] * len(sources)  # how many blocks of each source the journal holds
        self._noted_strings = (0, 0)  # and how many words and countrycodes

    @property
    def noted(self) -> dict[str, int]:
        """`notes`, and of how many sources all strokes may be points, sorted by kind."""
        unsure = sum(tally.forms.is_unsure(tally.read - tally.rejected) for tally in self.tallies)
        return dict(sorted({**self.notes, **({UNSURE: unsure} if unsure else {})}.items()))

    @property
    def takes_both(self) -> bool:
        """Whether drawings with a key_id of their own were taken and also drawings without one."""
        return 0 < self.keyless < int(self.admission.accepted.sum())

    def admit(
        self, source: int, scanned: Scanned, *, strict: bool = False
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_], int, int]:
        """Admit the drawings of the next chunk of a source, up to where reading stops.

        Returns:
            (N,) int32, the number of each drawing's word; (N,) bool, which drawings to keep; how many were read; and
            the byte of the source up to which it was read.

        Raises:
            InputError: the source has strokes that may be misread, or one word more than there may be; or, if `strict`,
                a line up to where reading stops is rejected or something is noted of it.
        """
        self.at = source
        tally, drawings = self.tallies[source], scanned.drawings
        word = self._number_words(drawings)
        left_out = np.isin(drawings.key_id, self._leave_out) if len(self._leave_out) else None
        keep, read = self.admission.admit(word, drawings.recognized, tally.declared, left_out)
        self.left_out += 0 if left_out is None else int(left_out[:read].sum())
        if (word[:read] != tally.declared).any():
            tally.declared = None
        end = scanned.end
        if read < len(drawings) or (read and self.admission.is_enough(tally.declared)):
            tally.stopped, end = True, min(end, int(scanned.ends[read - 1]))
        name = self.sources[source].name
        if strict and (fault := first_fault(scanned, read, end if tally.stopped else None, name, tally.lines)):
            raise InputError(f"{fault} (--strict)")
        tally.forms.look(scanned, read, name, tally.lines)
        count_notes(scanned, read, self.notes)
        return word, keep, read, end

    def _number_words(self, drawings: Drawings) -> NDArray[np.int32]:
        """(N,) int32, the number of each drawing's word.

        With classes to choose, words that are none of them and that no file's name declares share the number of "".

        Raises:
            InputError: there are more words than there may be classes.
        """
        words, known = drawings.words, self._known
        if known is not None:
            words = [word if word in known else "" for word in words]
        numbers = self.words.numbers(words, drawings.word)
        if known is None and len(self.words.strings) > MAX_CLASSES:
            name = self.sources[self.at].name
            raise InputError(f"{name}: more than {MAX_CLASSES:,} words, the most classes: choose with --classes")
        return numbers

    def number_countrycodes(
        self, drawings: Drawings, keep: NDArray[np.bool_], *, strict: bool = False
    ) -> NDArray[np.int32]:
        """(N,) int32, the number of each kept drawing's country code; -1 for null and for one code too many.

        Only of the kept drawings: otherwise the codes of the others would be in the shards' dictionaries.

        Raises:
            InputError: if `strict`, there is one code too many.
        """
        numbers = self.countrycodes.numbers(drawings.countrycodes, drawings.countrycode, keep)
        if lost := np.count_nonzero(keep & (drawings.countrycode >= 0) & (numbers < 0)):
            if strict:
                name = self.sources[self.at].name
                raise InputError(f"{name}: more than {MAX_COUNTRYCODES:,} different country codes (--strict)")
            self.notes[CROWDED] += int(lost)
        return numbers

    def refuse_unfit(self, which: Collection[int] | None = None) -> None:
        """Raise an error for a source of other content, among all or those with these numbers, or if none has a line.

        A source that was not read to its end is not judged by how many of its lines were rejected.

        Raises:
            InputError: a source is unfit.
        """
        for number, (source, tally) in enumerate(zip(self.sources, self.tallies, strict=True)):
            if which is None or number in which:
                bad = tally.rejected - tally.damaged
                good = tally.read - tally.rejected
                refuse_unfit(source, good, 0 if tally.stopped else bad, tally.first_reject)
        if (which is None or len(which) == len(self.sources)) and not any(tally.read for tally in self.tallies):
            raise no_drawing_in(self.sources[0], None)

    def classes(self) -> list[str]:
        """The classes in label order, once all sources are read.

        Raises:
            InputError: a class has no drawing, or there are no classes.
        """
        found = [word for word, count in zip(self.words.strings, self.admission.accepted, strict=False) if count]
        chosen = self.options.classes
        if chosen is None and not found:
            raise InputError("no drawing is left: the options filter out all of them")
        for word in chosen or ():
            if word not in found:
                raise InputError(missing_class(word, found))
        return sorted(found if chosen is None else chosen)

    def note_reject(self, source: int, reject: Reject) -> None:
        """Count a reject of a source."""
        tally = self.tallies[source]
        tally.rejected += 1
        tally.first_reject = tally.first_reject or str(reject)
        tally.damaged |= reject.reason == DAMAGED
        self.reasons[reject.reason] += 1
        tally.forms.look_at_reject(reject)

    def dump(self) -> Entry:
        """All counts for the journal; of blocks and vocabularies only what is new since the last call."""
        words, codes = self._noted_strings
        self._noted_strings = len(self.words.strings), len(self.countrycodes.strings)
        blocks = {k: [n, tally.blocks[n:]] for k, (tally, n) in enumerate(zip(self.tallies, self._noted, strict=True))}
        self._noted = [len(tally.blocks) for tally in self.tallies]
        return {
            "at": self.at,
            "tallies": [[getattr(tally, name) for name in _COUNTED] for tally in self.tallies],
            "blocks": {str(k): new for k, new in blocks.items() if new[1]},
            "words": self.words.strings[words:],
            "countrycodes": self.countrycodes.strings[codes:],
            "passed": self.admission.passed.tolist(),
            "accepted": self.admission.accepted.tolist(),
            "reasons": dict(self.reasons),
            "left_out": self.left_out,
            "keyless": self.keyless,
            "notes": dict(self.notes),
            "forms": [list(tally.forms.first.items()) for tally in self.tallies],
        }

    def load(self, entries: Sequence[Entry]) -> None:
        """Restore the counts from all results of `dump` in order; "done" in the last says that all sources are read."""
        for entry in entries:
            for source, (start, new) in entry["blocks"].items():
                self.tallies[int(source)].blocks[start:] = new
            for vocabulary, name in ((self.words, "words"), (self.countrycodes, "countrycodes")):
                for string in entry[name]:
                    vocabulary.number(string)
        last = entries[-1]
        for tally, counted in zip(self.tallies, last["tallies"], strict=True):
            for name, value in zip(_COUNTED, counted, strict=True):
                setattr(tally, name, value)
        self._noted = [len(tally.blocks) for tally in self.tallies]
        self._noted_strings = len(self.words.strings), len(self.countrycodes.strings)
        self.admission.load(last["passed"], last["accepted"])
        self.reasons.update(last["reasons"])
        self.left_out = last["left_out"]
        self.keyless = last["keyless"]
        self.notes.update(last["notes"])
        for tally, first in zip(self.tallies, last["forms"], strict=True):
            tally.forms.first.update(first)
        self.at = last["at"]
        tally = self.tallies[self.at]
        if not (last["done"] or tally.stopped):  # reading resumes at the beginning of a block, which is hashed again
            del tally.blocks[tally.end // BLOCK_BYTES :]
            self._noted[self.at] = len(tally.blocks)


_COUNTED = ("read", "filtered", "rejected", "lines", "end", "declared", "stopped", "first_reject", "damaged")
