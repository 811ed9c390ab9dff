"""Repeats lines of drawings up to a given size, each under a key_id of its own.

Lines are repeated as they are, but for their key_id: a multiple of 2^21 of sixteen digits, as Google's are, that occurs
once. A compressor whose window holds two copies of one drawing finds them, and writes less than it would of as many
different drawings.
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
MARK = ".replicated.json"  # hidden, so that no reader of the folder takes it for drawings
_KEY_ID = re.compile(rb'"key_id": ?"(\d+)"')
_KEY_DIGITS = 16
_KEY_COUNT = 1 << 30
_KEY_STEP = 0x2545F491  # odd, so that multiples of it modulo a power of two come round only after all of them


@dataclass(frozen=True)
class Replicated:
    """What a folder holds.

    Attributes:
        source: the path its lines were taken from.
        source_bytes: their size.
        asked: the bytes that were asked for; `size` is off by less than a line a file.
        size: the bytes that there are.
        lines: how many, by file.
        key_sum: of all key_ids, modulo 2^64: whoever kept every line once has the same.
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
    """Make `to` of about `size` bytes, or take it as it is where it was made of the same lines before.

    The lines of each *.ndjson file of `source`, which Google has one of a class, are repeated until it has its share of
    the size, so that the classes keep their proportions.

    Raises:
        InputError: `source` holds no ndjson, a line has no key_id, or `to` holds something else.
    """
    files = sorted(source.glob("*.ndjson"))
    source_bytes = sum(path.stat().st_size for path in files)
    if not source_bytes:
        raise InputError(f"{source}: holds no line in *.ndjson; give the folder of simplified Quick, Draw! drawings")
    if (to / MARK).exists():
        found = Replicated(**json.loads((to / MARK).read_text()))
        if (found.source, found.source_bytes, found.asked) == (str(source.resolve()), source_bytes, size):
            return found
        shutil.rmtree(to)
    if to.exists():
        raise InputError(f"{to}: stands there already and is no folder of replicated lines; name another or remove it")
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
    """Fresh key_ids: each multiple of 2^21 from 2^52 to 1.5 * 2^52, the range of Google's, once, in a mixed order.

    Attributes:
        count: how many were taken.
        sum: of those.
    """

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0

    def take(self) -> int:
        """The next one.

        Raises:
            InputError: all are taken.
        """
        if self.count == _KEY_COUNT:
            raise InputError(f"{_KEY_COUNT:,} lines have taken every key_id there is; ask for a smaller size")
        key = ((1 << 31) + self.count * _KEY_STEP % _KEY_COUNT) << 21
        self.count += 1
        self.sum += key
        return key


@dataclass(frozen=True)
class Template:
    """A line without the digits of its key_id: what stands before them, and what stands behind them."""

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
        """Of a line that is made of it."""
        return len(self.before) + _KEY_DIGITS + len(self.after)


def repeat_lines(templates: Sequence[Template], size: int, keys: KeyIds) -> Iterator[bytes]:
    """Lines of the templates over and over, one at least, as long as they fit into `size` bytes."""
    written = 0
    for template in itertools.cycle(templates):
        written += template.bytes
        if written > size and written > template.bytes:
            return
        yield b"%b%d%b" % (template.before, keys.take(), template.after)


def _templates(path: Path) -> list[Template]:
    """The templates of a file's lines; blank lines are passed over."""
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
