"""Finds the sources of shards: where they were, or among the files where they are said to be now."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePath

from pipeline.classes import WORDS
from pipeline.errors import InputError
from pipeline.shards.manifest import Manifest, SourceCount
from pipeline.shards.origin import PIPE, Origin, SourceStamp, options_of
from pipeline.shards.proof import Claim, holds
from pipeline.sources.files import Source, find_sources, printable, refuse_pipes, word_of_name


def sources_of_manifest(manifest: Manifest, origin: Origin | None, inputs: Sequence[str]) -> list[Source]:
    """The sources that a manifest names, in its order; whether they hold the same is for the caller to prove.

    Args:
        manifest: the manifest.
        origin: the record of where the sources were, if there is one.
        inputs: where they are now; none if they have not moved.

    Raises:
        InputError: a source is not there.
    """
    names, classes = [count.name for count in manifest.sources], options_of(manifest.options).classes
    if inputs:
        paths = _found(names, inputs, classes, [partial(_is_proved, count) for count in manifest.sources])
    elif origin is not None and [stamp.name for stamp in origin.sources] == names:
        paths = _recorded(origin)
    else:
        raise _gone(names[0])
    return _sources(names, paths, classes)


def sources_of_origin(origin: Origin, inputs: Sequence[str]) -> list[Source]:
    """The sources of a record that has no hashes, if they have the sizes and times that it holds.

    Raises:
        InputError: a source is not there, or has another size or time.
    """
    names, classes = [stamp.name for stamp in origin.sources], options_of(origin.options).classes
    proved = [partial(_is_stamped, stamp) for stamp in origin.sources]
    paths = _found(names, inputs, classes, proved) if inputs else _recorded(origin)
    sources = _sources(names, paths, classes)
    for source, is_proved in zip(sources, proved, strict=True):
        if not is_proved(source):
            raise InputError(
                f"{source.path}: has another size or time than when the shards were built, and no hash of it is known; "
                "nothing was changed; if it is the right file, build the shards anew with --force"
            )
    return sources


def _recorded(origin: Origin) -> list[Path]:
    """Where the sources were when the shards were built."""
    for stamp in origin.sources:
        if stamp.size == PIPE:
            raise InputError(f"{stamp.path}: was a pipe, whose content is gone; build the shards anew")
    return [Path(stamp.path) for stamp in origin.sources]


def _sources(names: Sequence[str], paths: Sequence[Path], classes: Sequence[str] | None) -> list[Source]:
    for path in paths:
        if not path.is_file():
            raise _gone(str(path))
    known = (*WORDS, *(classes or ()))
    return [Source(path, name, word_of_name(name, known)) for path, name in zip(paths, names, strict=True)]


def _found(
    names: Sequence[str],
    inputs: Sequence[str],
    classes: Sequence[str] | None,
    proved: Sequence[Callable[[Source], bool]],
) -> list[Path]:
    """The path of each source: that of the only file of its name, or of the first that is proved to be it.

    Those whose folders have the same names as well come first.
    """
    sources = find_sources(inputs, classes)
    refuse_pipes(sources, "a repair")
    there = defaultdict(list)  # by the file's name, because there may be many
    for source in sources:
        there[printable(source.path.name)].append(source)
    paths = []
    for name, is_proved in zip(names, proved, strict=True):
        same_name = there[PurePath(name).name]
        like = sorted(same_name, key=partial(_likeness, name), reverse=True)
        if len(like) > 1:
            like = list(itertools.islice(filter(is_proved, like), 1))
        if not like:
            raise _gone(name)
        same_name.remove(like[0])
        paths.append(like[0].path)
    return paths


def _likeness(name: str, source: Source) -> int:
    """How many parts of a name, from its end, the path of a source has too."""
    pairs = zip(reversed(PurePath(name).parts), map(printable, reversed(source.path.parts)), strict=False)
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _is_proved(count: SourceCount, source: Source) -> bool:
    return holds(Claim(source, count, is_whole=False))


def _is_stamped(stamp: SourceStamp, source: Source) -> bool:
    status = source.path.stat()
    return (status.st_size, status.st_mtime_ns) == (stamp.size, stamp.mtime_ns)


def _gone(source: str) -> InputError:
    return InputError(f"{source}: this source is gone; say where it is: sketchpipe repair SHARDS SOURCE...")
