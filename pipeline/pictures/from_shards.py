"""Writes drawings of shards as folders of PNG files named <class>-<key_id>.png, or as an array for each class.

Whether a drawing is in a sample depends only on its key_id, its class and the seed: the drawings of a class are taken
in the order of a hash of key_id and seed, so that a larger sample contains the smaller one. If drawings share a key_id,
all but the first have a number appended to it, from 1; shards keep them in an order that depends on their words and
strokes. The index of the set has the columns split, word, file, key_id and recognized (1, 0, or empty if unknown).
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Int64Array, UInt64Array
from pipeline.choices import Encoding, Framing, PictureFormat
from pipeline.drawings import Drawings
from pipeline.errors import UsageError
from pipeline.hashing import mix64, salted
from pipeline.pictures.arrays import Rendered, append_arrays
from pipeline.pictures.names import safe_name
from pipeline.pictures.sets import PictureSet, place_set, write_index, write_picture, write_pictures
from pipeline.pictures.sheet import labels_of
from pipeline.pictures.target import DRAWINGS, INDEX, PICTURES
from pipeline.progress import Progress, untold
from pipeline.rendering.render import RenderConfig, render
from pipeline.shards.manifest import file_hash
from pipeline.shards.read import STROKE_COLUMNS, ShardSplit, open_split
from pipeline.shards.schema import integers
from pipeline.shards.shuffle import SPLITS
from pipeline.threads import ordered_map

MIN_SIZE, MAX_SIZE = 8, 1024  # pixels
_COLUMNS = ("split", "word", "file", "key_id", "recognized")
_ARRAY_COLUMNS = ("split", "word", "file", "row", "key_id", "recognized")
_READ = (*STROKE_COLUMNS, "key_id", "recognized")
_BLOCK = 1024  # drawings
_BLOCK_PIXELS = 1 << 22  # at most in a block, so that its images take little memory at any size


@dataclass(frozen=True)
class PictureOptions:
    """The options that, with the shards, determine which files are written.

    Attributes:
        split: train, validation or test; None takes all three.
        classes: the classes to take; None takes all.
        drawings_per_class: how many drawings to take of each class, in all chosen splits together; None takes all.
        seed: a different seed takes a different sample.
        render: the render settings.
        format: "png" for a file for each drawing, "npy" for an array for each class.
    """

    split: str | None = None
    classes: tuple[str, ...] | None = None
    drawings_per_class: int | None = None
    seed: int = 0
    render: RenderConfig = field(default_factory=RenderConfig)
    format: PictureFormat = "png"

    def __post_init__(self) -> None:
        if self.split is not None and self.split not in SPLITS:
            raise UsageError(f'split "{self.split}": expected one of {", ".join(SPLITS)}, all')
        if self.drawings_per_class is not None and self.drawings_per_class < 1:
            raise UsageError(f"drawings_per_class {self.drawings_per_class}: expected 1 or more")
        if self.seed < 0:
            raise UsageError(f"seed {self.seed}: expected 0 or more")
        if not MIN_SIZE <= self.render.size <= MAX_SIZE:
            raise UsageError(f"size {self.render.size}: expected {MIN_SIZE} to {MAX_SIZE} pixels")


def picture_settings(
    picture_format: PictureFormat, size: int | None, encoding: Encoding | None, framing: Framing | None
) -> RenderConfig:
    """The render settings of a set; those that are None are the usual ones of its format.

    The usual arrays are drawn as Google's bitmaps of 28 pixels are: lines of 16 units, around the drawing a margin of
    24, which is 1.5 line widths, and a drawing of 256 units in between.
    """
    if picture_format == "png":
        return RenderConfig(size or 64, encoding=encoding or "palette", framing=framing or "corner")
    size = size or 28
    return RenderConfig(size, 16 / 304 * size, encoding or "gray", framing or "centred")


@dataclass(frozen=True)
class _Rows:
    """Some drawings of a row group.

    Attributes:
        split: their split.
        group: the index of the row group in the split.
        rows: (n,) int64, their rows in the row group.
        twin: (n,) int64, for each drawing how many drawings before it in the split have the same key_id.
    """

    split: ShardSplit
    group: int
    rows: Int64Array
    twin: Int64Array


@dataclass(frozen=True)
class _Block:
    """Some drawings of a split; `numbers` are the parts of the pictures' names that follow the class's name."""

    split: str
    drawings: Drawings
    numbers: list[str]


def write_drawings(
    shards: Path,
    folder: Path,
    options: PictureOptions,
    *,
    workers: int = 1,
    force: bool = False,
    progress: Progress = untold,
) -> tuple[PictureSet, bool]:
    """Write drawings of shards as folders of PNG files; returns the set, and whether it was written now.

    The same drawings and options give the same pictures, whatever the seed, number and order of the shards, the order
    in which classes are named, and the number of threads.

    Args:
        shards: the folder of shards.
        folder: the target, new or with an earlier set, which is kept until the new one is complete.
        options: which files to write.
        workers: how many threads to use.
        force: write even if nothing has changed.
        progress: is called with the number of pictures written.

    Raises:
        SketchpipeError: the pictures cannot be made; the folder is unchanged.
    """
    PICTURES.finish_pending(folder)
    splits = _open(shards, options.split)
    manifest = splits[0].manifest
    labels = sorted(labels_of(shards, manifest, options.classes))
    if options.classes is not None:  # so that the order in which they were named does not matter
        options = dataclasses.replace(options, classes=tuple(manifest.classes[label] for label in labels))
    made_of = {"options": dataclasses.asdict(options), "shards": manifest.checksum, "writer": version("sketchpipe")}

    def write(staged: Path) -> PictureSet:
        each = (sum(manifest.counts[split.name][label] for split in splits) for label in labels)
        total = sum(min(count, options.drawings_per_class or count) for count in each)
        classes = [manifest.classes[label] for label in labels]
        blocks = _blocks(_sample(splits, labels, options), options.render.size)
        if options.format == "npy":
            rendered = ordered_map(lambda block: _render_block(block, options.render), blocks, workers)
            lines = append_arrays(staged, rendered)
            counts = write_index(staged, classes, _ARRAY_COLUMNS, lines, total=total, progress=progress)
        else:
            counts = write_pictures(
                staged, classes, _COLUMNS, blocks, lambda block: _write_block(block, staged, options.render),
                workers=workers, total=total, progress=progress,
            )  # fmt: skip
        return PictureSet(
            attribution=manifest.attribution,
            synthetic=manifest.synthetic,
            options=dataclasses.asdict(options),
            classes=tuple(classes),
            counts=counts,
            sources=({"name": shards.resolve().name, "checksum": manifest.checksum},),
            index_sha256=file_hash(staged / INDEX),
        )

    return place_set(folder, DRAWINGS, made_of, write, force=force)


def _open(shards: Path, split: str | None) -> list[ShardSplit]:
    """The given split, or all splits that have drawings."""
    if split is not None:
        return [open_split(shards, split)]
    first = open_split(shards, SPLITS[0])
    return [first, *(open_split(shards, name) for name in SPLITS[1:] if first.manifest.rows(name))]


def _sample(splits: Sequence[ShardSplit], labels: Sequence[int], options: PictureOptions) -> Iterator[_Rows]:
    """The drawings that the options choose, row group by row group."""
    limit = options.drawings_per_class
    if limit is None:
        for found, found_labels, _ in _scan(splits):
            chosen = np.flatnonzero(np.isin(found_labels, labels))
            yield dataclasses.replace(found, rows=found.rows[chosen], twin=found.twin[chosen])
        return
    salt = salted("sketchpipe pictures", options.seed)
    sample = Sample(limit, len(labels))
    groups: list[_Rows] = []
    for found, found_labels, keys in _scan(splits):
        chosen = np.flatnonzero(np.isin(found_labels, labels))
        hashes, number = mix64(keys[chosen] ^ salt), np.full(len(chosen), len(groups))
        sample.add(found_labels[chosen], hashes, number, chosen, found.twin[chosen])
        groups.append(dataclasses.replace(found, rows=chosen[:0], twin=found.twin[:0]))
    _, _, numbers, rows, twins = sample.first()
    for number in np.unique(numbers).tolist():
        mine = numbers == number
        order = np.argsort(rows[mine])
        yield dataclasses.replace(groups[number], rows=rows[mine][order], twin=twins[mine][order])


class Sample:
    """Keeps for each label the candidates with the smallest hashes; among equal hashes those that were added first.

    The memory needed depends on the size of the sample, not on the number of candidates.
    """

    def __init__(self, limit: int, labels: int) -> None:
        self._limit, self._most = limit, 4 * limit * labels
        self._parts: list[list[NDArray[Any]]] = []

    def __len__(self) -> int:
        """How many candidates are held."""
        return sum(len(part[0]) for part in self._parts)

    def add(self, labels: Int64Array, hashes: UInt64Array, *columns: NDArray[Any]) -> None:
        """Add n candidates: their labels, hashes and any other columns, (n,) each."""
        self._parts.append([labels, hashes, *columns])
        if len(self) > self._most:
            self._parts = [self.first()]

    def first(self) -> list[NDArray[Any]]:
        """The sample's labels, hashes and other columns, at most `limit` rows of each label."""
        columns = [np.concatenate(column) for column in zip(*self._parts, strict=True)]
        labels, hashes = columns[:2]
        order = np.lexsort((hashes, labels))
        ordered = labels[order]
        rank = np.arange(len(order)) - np.searchsorted(ordered, ordered)
        return [column[np.sort(order[rank < self._limit])] for column in columns]


def _scan(splits: Sequence[ShardSplit]) -> Iterator[tuple[_Rows, Int64Array, UInt64Array]]:
    """All rows, with the label and the key_id of each; rows with the same key_id are adjacent in a split."""
    for split in splits:
        last_key, last_twin = -1, 0  # of the previous row group
        for group in range(len(split.row_groups)):
            table = split.read_table(group, ("key_id", "label"))
            keys = integers(table.column("key_id"), np.uint64)
            labels = integers(table.column("label"), np.uint16).astype(np.int64)
            firsts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
            twin = np.arange(len(keys)) - np.repeat(firsts, np.diff(firsts, append=len(keys)))
            if last_key == keys[0]:
                twin[: firsts[1] if len(firsts) > 1 else None] += last_twin + 1
            yield _Rows(split, group, np.arange(len(keys)), twin), labels, keys
            last_key, last_twin = int(keys[-1]), int(twin[-1])


def _blocks(sample: Iterator[_Rows], size: int) -> Iterator[_Block]:
    """Read the drawings of the sample, in blocks of bounded size."""
    step = min(_BLOCK, max(1, _BLOCK_PIXELS // (size * size)))
    for found in sample:
        if not len(found.rows):
            continue
        drawings = found.split.read_row_group(found.group, _READ).take(found.rows)
        numbers = [f"{key:07d}" for key in drawings.key_id.tolist()]
        for k in np.flatnonzero(found.twin).tolist():
            numbers[k] += f"-{found.twin[k]:07d}"
        for start in range(0, len(numbers), step):
            stop = min(start + step, len(numbers))
            yield _Block(found.split.name, drawings.slice(start, stop), numbers[start:stop])


def _render_block(block: _Block, config: RenderConfig) -> Rendered:
    """The images of a block, and for each its split, its word, its key_id and `recognized`."""
    drawings = block.drawings
    lines = [
        (block.split, drawings.words[label], key, known if known >= 0 else "")
        for label, key, known in zip(
            drawings.word.tolist(), drawings.key_id.tolist(), drawings.recognized.tolist(), strict=True
        )
    ]
    return render(drawings, config), lines


def _write_block(block: _Block, staged: Path, config: RenderConfig) -> list[tuple[Any, ...]]:
    """Write the pictures of a block; returns their lines for the index."""
    drawings = block.drawings
    names = {label: safe_name(drawings.words[label]) for label in np.unique(drawings.word).tolist()}
    for name in names.values():
        (staged / block.split / name).mkdir(parents=True, exist_ok=True)
    lines = []
    images = render(drawings, config)
    for k, (label, known) in enumerate(zip(drawings.word.tolist(), drawings.recognized.tolist(), strict=True)):
        place = f"{block.split}/{names[label]}/{names[label]}-{block.numbers[k]}.png"
        write_picture(staged, place, images[k])
        lines.append((block.split, drawings.words[label], place, int(drawings.key_id[k]), known if known >= 0 else ""))
    return lines
