"""Replicates real Quick, Draw! lines up to a given size, each with a new key_id.

    python benchmarks/replicate.py SOURCE TO --gigabytes 1

SOURCE holds Google's simplified ndjson, one file for each class. Each file's lines are repeated until it has its share
of the size (a gigabyte is 10^9 bytes), so that the classes keep their proportions. A key_id is a multiple of 2^21 with
sixteen digits, like Google's, and occurs once. Everything else is repeated unchanged, so a compressor whose window
contains two replicas of one drawing writes less than it would for different drawings.
"""

import argparse
import itertools
import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from pipeline.errors import InputError, SketchpipeError

GIGABYTE = 10**9
MARK = ".replicated.json"  # hidden, so that readers of the folder do not take it for drawings
_KEY_ID = re.compile(rb'"key_id": ?"(\d+)"')
_KEY_COUNT = 1 << 30
_KEY_STEP = 0x2545F491  # odd, so that its multiples modulo a power of two take every value before they repeat


@dataclass(frozen=True)
class Replicated:
    """The content of a folder of replicated lines.

    Attributes:
        source: the path from which the lines were taken.
        source_bytes: the size of the source.
        asked: the requested size in bytes; `size` differs by less than a line for each file.
        size: the actual size in bytes.
        lines: the number of lines of each file.
        key_sum: the sum of all key_ids modulo 2^64; a result that has every line once has the same sum.
    """

    source: str
    source_bytes: int
    asked: int
    size: int
    lines: dict[str, int]
    key_sum: int

    @property
    def total_lines(self) -> int:
        """The lines of all files."""
        return sum(self.lines.values())


def replicate(source: Path, to: Path, size: int) -> Replicated:
    """Write about `size` bytes to the folder `to`, unless it was made from the same lines before.

    Raises:
        InputError: `source` holds no ndjson, a line has no key_id, or `to` holds something else.
    """
    files = sorted(source.glob("*.ndjson"))
    source_bytes = sum(path.stat().st_size for path in files)
    if not source_bytes:
        raise InputError(f"{source}: no lines in *.ndjson; give the folder of simplified Quick, Draw! drawings")
    if (to / MARK).exists():
        found = Replicated(**json.loads((to / MARK).read_text()))
        if (found.source, found.source_bytes, found.asked) == (str(source.resolve()), source_bytes, size):
            return found
        shutil.rmtree(to)
    if to.exists():
        raise InputError(f"{to}: exists and is not a folder of replicated lines; name another or remove it")
    partial = to.with_name(f".{to.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        keys, lines = _Keys(), {}
        for path in files:
            share = size * path.stat().st_size // source_bytes
            with (partial / path.name).open("wb", buffering=1 << 20) as file:
                lines[path.name] = sum(1 for line in _repeat(path, share, keys) if file.write(line))
        written = sum((partial / path.name).stat().st_size for path in files)
        made = Replicated(str(source.resolve()), source_bytes, size, written, lines, keys.sum % (1 << 64))
        (partial / MARK).write_text(json.dumps(asdict(made), indent=1, ensure_ascii=False))
        partial.rename(to)
    except BaseException:
        shutil.rmtree(partial)
        raise
    return made


class _Keys:
    """New key_ids: each multiple of 2^21 from 2^52 to 1.5 * 2^52, the range of Google's, once, in a mixed order."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0

    def take(self) -> int:
        if self.count == _KEY_COUNT:
            raise InputError(f"all {_KEY_COUNT:,} key_ids are used, and lines are left; give a smaller size")
        key = ((1 << 31) + self.count * _KEY_STEP % _KEY_COUNT) << 21
        self.count += 1
        self.sum += key
        return key


def _repeat(path: Path, share: int, keys: _Keys) -> Iterator[bytes]:
    """The lines of a file, repeated as long as they fit into `share` bytes; at least one line."""
    parts = list(_parts(path))
    if not parts:
        raise InputError(f"{path}: has no lines; remove the file")
    written = 0
    for before, digits, after in itertools.cycle(parts):
        written += len(before) + digits + len(after)
        if written > share and written > len(before) + digits + len(after):
            return
        yield b"%b%0*d%b" % (before, digits, keys.take(), after)


def _parts(path: Path) -> Iterator[tuple[bytes, int, bytes]]:
    """For each line the bytes before its key_id's digits, the number of digits of a new key_id, and the bytes after."""
    digits = len(str(1 << 52))
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        found = _KEY_ID.search(line)
        if found:
            yield line[: found.start(1)], digits, line[found.end(1) :] + b"\n"
        elif line.strip():
            raise InputError(f'{path}:{number}: expected "key_id" with a string of digits; leave the line out')


def main() -> None:
    parser = argparse.ArgumentParser(description="Replicate real Quick, Draw! lines with fresh key_ids.")
    parser.add_argument("source", type=Path, help="folder of simplified ndjson")
    parser.add_argument("to", type=Path, help="folder to make")
    parser.add_argument("--gigabytes", type=float, default=1.0, help="10^9 bytes each (%(default)s)")
    arguments = parser.parse_args()
    try:
        made = replicate(arguments.source, arguments.to, round(arguments.gigabytes * GIGABYTE))
    except SketchpipeError as error:
        sys.exit(f"replicate: {error}")
    print(f"{arguments.to}: {made.total_lines:,} lines in {len(made.lines)} files, {made.size:,} bytes")


if __name__ == "__main__":
    main()
