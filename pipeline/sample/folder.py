"""The built-in sample in a folder of its own, which a mark tells from drawings that people made."""

from pathlib import Path

from pipeline.errors import OutputError, UsageError
from pipeline.progress import Progress, untold
from pipeline.sample.doodles import SAMPLE_WORDS, write_sample
from pipeline.sources.files import SAMPLE_MARK
from pipeline.storage.files import disk_free, write_atomically
from pipeline.storage.reading import open_regular

_MARK_BYTES = 1 << 12
_DRAWING_BYTES = 500  # of a line, on average


def make_sample(to: Path, *, drawings_per_class: int = 1000, seed: int = 0, progress: Progress = untold) -> bool:
    """Write the sample into a folder; returns whether anything had to be written.

    Args:
        to: is made if it is missing; an earlier sample in it is replaced.
        drawings_per_class: how many drawings of each word, 1 or more.
        seed: chooses the drawings, 0 or more.
        progress: counts drawings.

    Raises:
        UsageError: a number is too small or too large.
        OutputError: the folder holds files of the sample's names that are of no sample, or cannot be written, or the
            sample does not fit on its disk.
    """
    mark, wanted = to / SAMPLE_MARK, f"{drawings_per_class} drawings a class, seed {seed}\n"
    files = [to / f"{word}.ndjson" for word in SAMPLE_WORDS]
    try:
        with open_regular(mark, link=False) as file:
            marked = file.read(_MARK_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        marked = None
    except OSError as error:
        raise OutputError(f"{mark}: {error.strerror}; remove it, or choose another folder with --to") from error
    if marked == wanted.encode() and all(file.exists() for file in files):
        return False
    others = [] if marked is not None else [file for file in files if file.exists()]
    if others:
        raise OutputError(f"{others[0]}: exists, but is not of a sample; choose another folder with --to")
    if drawings_per_class < 1:
        raise UsageError(f"drawings_per_class {drawings_per_class}: expected 1 or more")
    if not 0 <= seed < 1 << 64:
        raise UsageError(f"seed {seed}: expected a whole number from 0 to 2**64 - 1")
    needed = drawings_per_class * len(SAMPLE_WORDS) * _DRAWING_BYTES
    free = disk_free(to) + sum(file.stat().st_size for file in files if file.exists())
    if needed > free:
        raise OutputError(
            f"{to}: about {needed:,} bytes are needed, {free:,} are free; lower --drawings-per-class, or choose "
            "another disk with --to"
        )
    try:
        to.mkdir(parents=True, exist_ok=True)
        write_atomically(mark, "unfinished\n")
        write_sample(to, drawings_per_class=drawings_per_class, seed=seed, progress=progress)
        write_atomically(mark, wanted)
    except OSError as error:
        raise OutputError(f"{to}: cannot be written ({error.strerror or error}); choose another with --to") from error
    return True
