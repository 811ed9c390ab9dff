"""Repeats lines of drawings up to a given size, each under a key_id of its own.

Lines are repeated unchanged except for their key_id: like Google's, it is a multiple of 2^21 with sixteen digits, and
it occurs once. A compressor whose window contains two copies of a drawing makes a smaller file than it would make of as
many different drawings.
"""

import itertools
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.errors import InputError

GIGABYTE = 10**9
MARK = ".replicated.json"  # hidden, so that no reader of the folder reads it as drawings
_KEY_ID = re.compile(rb'"key_id": ?"(\d+)"')
_KEY_DIGITS = 16
_KEY_COUNT = 1 << 30
_KEY_STEP = 0x2545F491  # odd, so that its multiples modulo a power of two repeat only after all values


@dataclass(frozen=True)
class Replicated:
    """What a folder of repeated lines holds.

    Attributes:
        source: the folder that its lines were taken from.
        source_bytes: the size of that folder's files.
        asked: how many bytes were asked for; `size` differs by less than a line for each file.
        size: how many bytes there are.
        lines: how many lines each file has.
        key_sum: the sum of all key_ids, modulo 2^64, to check that every line was kept exactly once.
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
    """Make the folder `to` with about `size` bytes, or keep it if it was made from the same lines before.

    The lines of each *.ndjson file of `source` are repeated until the file has its share of the size. Google has one
    file for each class, so the classes keep their proportions.

    Raises:
        InputError: `source` holds no ndjson, a line has no key_id, or `to` holds something else.
    """
    files = sorted(source.glob("*.ndjson"))
    source_bytes = sum(path.stat().st_size for path in files)
    if not source_bytes:
        raise InputError(f"{source}: has no lines in *.ndjson files; give a folder of simplified Quick, Draw! drawings")
    if (to / MARK).exists():
        found = Replicated(**json.loads((to / MARK).read_text()))
        if (found.source, found.source_bytes, found.asked) == (str(source.resolve()), source_bytes, size):
            return found
        shutil.rmtree(to)
    if to.exists():
        raise InputError(f"{to}: exists and is not a folder of replicated lines; remove it or name another")
    partial = to.with_name(f".{to.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        keys, lines = KeyIds(), {}
        for path in files:
            share = size * path.stat().st_size // source_bytes
            with (partial / path.name).open("wb", buffering=1 << 20) as file:
                lines[path.name] = sum(1 for line in repeat_lines(_templates(path), share, keys) if file.write(line))
        written = sum((partial / path.name).stat().st_size for path in files)
        made = Replicated(str(source.resolve()), source_bytes, size, written, lines, keys.sum % (1 << 64))
        (partial / MARK).write_text(json.dumps(asdict(made), indent=1, ensure_ascii=False))
        partial.rename(to)
    except BaseException:
        shutil.rmtree(partial)
        raise
    return made


class KeyIds:
    """New key_ids: each multiple of 2^21 from 2^52 to 1.5 * 2^52, the range of Google's, once, in a mixed order.

    Attributes:
        count: how many were taken.
        sum: the sum of those.
    """

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0

    def take(self) -> int:
        """Take the next key_id.

        Raises:
            InputError: all were taken.
        """
        if self.count == _KEY_COUNT:
            raise InputError(f"{_KEY_COUNT:,} lines have used up all key_ids; ask for a smaller size")
        key = ((1 << 31) + self.count * _KEY_STEP % _KEY_COUNT) << 21
        self.count += 1
        self.sum += key
        return key


@dataclass(frozen=True)
class Template:
    """A line without the digits of its key_id: the bytes before them, and the bytes after them."""

    before: bytes
    after: bytes

    @staticmethod
    def of(line: bytes) -> "Template":
        """The template of a line.

        Raises:
            ValueError: the line has no key_id.
        """
        found = _KEY_ID.search(line)
        if found is None:
            raise ValueError("no key_id")
        return Template(line[: found.start(1)], line[found.end(1) :].rstrip(b"\r\n") + b"\n")

    @property
    def bytes(self) -> int:
        """The length of a line that is made from it."""
        return len(self.before) + _KEY_DIGITS + len(self.after)


def repeat_lines(templates: Sequence[Template], size: int, keys: KeyIds) -> Iterator[bytes]:
    """Repeat lines of the templates while they fit into `size` bytes; at least one line."""
    written = 0
    for template in itertools.cycle(templates):
        written += template.bytes
        if written > size and written > template.bytes:
            return
        yield b"%b%d%b" % (template.before, keys.take(), template.after)


def _templates(path: Path) -> list[Template]:
    """The templates of a file's lines; blank lines are skipped."""
    templates = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            templates.append(Template.of(line))
        except ValueError as error:
            raise InputError(
                f'{path}:{number}: expected "key_id" with a string of digits; leave the line out'
            ) from error
    if not templates:
        raise InputError(f"{path}: has no lines; remove the file")
    return templates
