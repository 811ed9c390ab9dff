"""Writes drawings as ndjson in Google's simplified format, one file for each source, whatever the source's format."""

import filecmp
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from pipeline.classes import plain_stem
from pipeline.drawings import Drawings, content_hash
from pipeline.errors import OutputError, UsageError
from pipeline.progress import Progress, untold
from pipeline.sources.files import Source, find_sources, no_drawing_in
from pipeline.sources.readers import read_parts
from pipeline.sources.rejects import Reject
from pipeline.storage.files import Output, partial_path, sync, writing

_REMEDY = "make room, or choose another folder with --to"


@dataclass
class Simplified:
    """What was made of one source.

    Attributes:
        source: the source.
        path: the file.
        drawings: how many drawings it holds.
        rejected: how many lines or records of the source were rejected.
        first_reject: the first of these; None if there is none.
        is_new: whether the file was written now; False if it was there with the same content.
    """

    source: Source
    path: Path
    drawings: int = 0
    rejected: int = 0
    first_reject: Reject | None = None
    is_new: bool = False


def write_simplified(
    inputs: Sequence[str],
    folder: Path,
    *,
    workers: int = 1,
    progress: Progress = untold,
    tell: Callable[[str], object] = lambda _message: None,
) -> Iterator[Simplified]:
    """Write each source as `<name>.ndjson` into `folder`; yields what was made of each source, in the order of names.

    Raw drawings are simplified as Google did; simplified ones stay as they are. A line has the fields of Google's own
    in their order; a field that is unknown is left out, as is a `key_id` that the source did not have. A file is
    written under a hidden name and renamed when it is complete; an existing file is never replaced by other content.

    Args:
        inputs: files, folders and globs, as for `sketchpipe shards`.
        folder: the target; it is made where it is missing.
        workers: how many threads parse.
        progress: is called with the number of sources done.
        tell: is called with a message for each folder of inputs that holds other files too.

    Raises:
        InputError: a source cannot be read or holds no drawing.
        OutputError: a file exists with other content, or cannot be written.
        UsageError: two sources would be written into one file.
    """
    sources = find_sources(inputs, tell=tell)
    targets: dict[Path, Source] = {}
    for source in sources:
        target = folder / f"{plain_stem(PurePath(source.name).name)}.ndjson"
        if target in targets:
            raise UsageError(
                f"{source.path} and {targets[target].path} would both be written to {target}; simplify them into "
                "different folders"
            )
        targets[target] = source
    with writing(folder, _REMEDY):
        folder.mkdir(parents=True, exist_ok=True)
    for done, (target, source) in enumerate(targets.items()):
        progress("simplifying", done, len(targets), unit="files", note=target.name)
        yield _write(source, target, workers)
    progress("simplifying", len(targets), len(targets), unit="files")


def simplified_lines(drawings: Drawings) -> Iterator[str]:
    """The drawings as lines of Google's simplified ndjson, each with its newline."""
    has_key = drawings.key_id != content_hash(drawings)
    stamps = np.datetime_as_string(drawings.timestamp, unit="us").tolist()
    for k in range(len(drawings)):
        fields: dict[str, object] = {"word": drawings.words[drawings.word[k]]}
        if drawings.countrycode[k] >= 0:
            fields["countrycode"] = drawings.countrycodes[drawings.countrycode[k]]
        if stamps[k] != "NaT":
            day, _, time = stamps[k].partition("T")
            fields["timestamp"] = f"{day} {time.rstrip('0')}{'0' if time.endswith('.000000') else ''} UTC"
        if drawings.recognized[k] >= 0:
            fields["recognized"] = bool(drawings.recognized[k])
        if has_key[k]:
            fields["key_id"] = str(drawings.key_id[k])
        fields["drawing"] = drawings.strokes(k)
        yield json.dumps(fields, ensure_ascii=False, separators=(",", ":")) + "\n"


def _write(source: Source, target: Path, workers: int) -> Simplified:
    made = Simplified(source, target)

    def note(reject: Reject) -> None:
        made.rejected += 1
        made.first_reject = made.first_reject or reject

    partial = partial_path(target)
    with writing(target, _REMEDY):
        try:
            with Output(partial) as file:
                for drawings in read_parts(source, note, workers):
                    file.write("".join(simplified_lines(drawings)).encode())
                    made.drawings += len(drawings)
                file.sync()
            if not made.drawings:
                raise no_drawing_in(source, made.first_reject)
            if target.exists():
                if not filecmp.cmp(partial, target, shallow=False):
                    raise OutputError(
                        f"{target}: exists with other content; remove it or choose another folder with --to"
                    )
                return made
            os.replace(partial, target)  # noqa: PTH105 - as in `storage`
            sync(target.parent)
            made.is_new = True
        finally:
            partial.unlink(missing_ok=True)
    return made
