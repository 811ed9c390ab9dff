"""Sources of a few lines, builds of them, and what is in a folder of shards as pyarrow alone reads it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.shards.folder import build_folder
from pipeline.shards.manifest import Manifest
from pipeline.shards.options import BuildOptions, BuildSizes

Row = tuple[int, str, Any, bool | None, str | None, Any]
STROKES = [[[0, 255], [10, 20]]]


def record(word: str, key: int | None, drawing: Any = STROKES, **fields: Any) -> bytes:
    """A line with the key_id `key << 21`, as Google's are."""
    line = {"word": word, "key_id": None if key is None else str(key << 21), **fields, "drawing": drawing}
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def records(word: str, keys: Sequence[int], **fields: Any) -> bytes:
    """Lines of drawings that differ by their key."""
    return b"".join(record(word, key, [[[key % 256, 7], [key // 256 % 256, 9]]], **fields) for key in keys)


def keyless(lines: bytes) -> bytes:
    """The same drawings without key_ids, words and strokes alone."""
    fields = (json.loads(line) for line in lines.splitlines())
    return b"".join(json.dumps({"word": line["word"], "drawing": line["drawing"]}).encode() + b"\n" for line in fields)


def write(folder: Path, **files: bytes) -> Path:
    """Write `<name>.ndjson` files, `__` in a name standing for a space."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name.replace('__', ' ')}.ndjson").write_bytes(text)
    return folder


def build(inputs: Path | Sequence[Path], to: Path, **settings: Any) -> Manifest:
    """Build with options, sizes and settings by name."""
    names = ("workers", "strict", "force")
    how = {name: settings.pop(name) for name in names if name in settings}
    sizes = {field.name: settings.pop(field.name) for field in fields(BuildSizes) if field.name in settings}
    sources = [str(path) for path in ([inputs] if isinstance(inputs, Path) else inputs)]
    return build_folder(sources, to, BuildOptions(**settings), sizes=BuildSizes(**sizes), **how)[0]


def files_of(folder: Path) -> dict[str, bytes]:
    """The visible files of a folder; none where it is missing."""
    if not folder.exists():
        return {}
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


def rows_of(folder: Path, split: str | None = None) -> list[Row]:
    """Key_id, word, strokes, recognized, countrycode and timestamp of each row in order."""
    rows: list[Row] = []
    for path in sorted(folder.glob(f"{split or ''}*.parquet")):
        for row in pq.read_table(path).to_pylist():
            starts = [0, *row["stroke_end"][:-1]]
            ends = zip(starts, row["stroke_end"], strict=True)
            strokes = [[list(row["x"][a:b]), list(row["y"][a:b])] for a, b in ends]
            rows.append((row["key_id"], row["word"], strokes, row["recognized"], row["countrycode"], row["timestamp"]))
    return rows


def keys_of(folder: Path, split: str | None = None) -> list[int]:
    """The key_ids in order, without Google's 21 zero bits."""
    return [row[0] >> 21 for row in rows_of(folder, split)]


def staging(folder: Path) -> list[str]:
    """What is in the folder's `.build/`."""
    return sorted(path.name for path in (folder / ".build").iterdir())


def random_drawings(word: str, count: int, seed: int, **fields: Any) -> bytes:
    """Lines of random strokes and keys, of about 20 kB each by a field that nobody reads."""
    random = np.random.default_rng(seed)
    lines = []
    for _ in range(count):
        strokes = [random.integers(0, 256, (2, points)).tolist() for points in random.integers(1, 9, 3)]
        code = ["US", "DE", "FI", None][random.integers(4)]
        lines.append(record(word, int(random.integers(1 << 40)), strokes, countrycode=code, pad="x" * 20_000, **fields))
    return b"".join(lines)


def counts_of(manifest: Manifest) -> dict[str, tuple[int, int, int, int, int]]:
    """Of each source: read, written, duplicates, filtered, rejected."""
    return {
        source.name.partition("/")[2]: (
            source.read,
            source.written,
            source.duplicates,
            source.filtered,
            source.rejected,
        )
        for source in manifest.sources
    }


def peak_bytes(*arguments: str) -> tuple[int, int, str]:
    """The exit code of a command, the most memory that it had, and what it said."""
    # Not ru_maxrss, which on Linux begins with the size of whoever started the process.
    program = (
        "import atexit, pathlib\n"
        "from pipeline.cli.main import main\n"
        "status = pathlib.Path('/proc/self/status')\n"
        "atexit.register(lambda: print(status.read_text().split('VmHWM:')[1].split()[0]))\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, 1024 * int(done.stdout), done.stderr
