"""Drawings without a key_id beside the same drawings with one: the latter are kept, and no split has a twin."""

import gzip
import json
import shutil
import struct
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.drawings import content_hash, from_strokes
from pipeline.shards import twins, verify
from pipeline.shards.estimate import estimate_build
from pipeline.shards.manifest import MANIFEST, read_manifest
from pipeline.shards.options import BuildOptions
from pipeline.shards.repair import repair_folder
from pipeline.shards.shuffle import order_hash
from pipeline.shards.verify import verify_folder
from pipeline.sources.files import find_sources
from tests.shards.builds import build, counts_of, files_of, keyless, random_drawings, record, rows_of, write
from tests.shards.test_verify import forge

pytestmark = pytest.mark.long

SKETCHPIPE = Path(sys.executable).with_name("sketchpipe")
SAME = "a drawing with a key_id has the same word and strokes"


def house(k: int) -> list[list[list[int]]]:
    return [[[k, 128, 236], [k, 20, 110]]]


def google(keys: Sequence[int], word: str = "house", **fields: Any) -> bytes:
    return b"".join(record(word, 5_000 + k, house(k), **fields) for k in keys)


def mine(keys: Sequence[int], word: str = "house") -> bytes:
    return b"".join(json.dumps({"word": word, "drawing": house(k)}).encode() + b"\n" for k in keys)


def splits_of_strokes(folder: Path) -> dict[str, set[str]]:
    """The splits in which each drawing's strokes are."""
    found = defaultdict(set)
    for path in folder.glob("*.parquet"):
        for row in rows_of(folder, path.name.removesuffix(".parquet")):
            found[f"{row[1]} {row[2]}"].add(path.name.split("-")[0])
    return found


def content_key(word: str, drawing: Any) -> int:
    return int(content_hash(from_strokes([drawing], [word]))[0])


def parquets_of(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in files_of(folder).items() if name.endswith(".parquet")}


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")], ids=["keyed first", "keyless first"])
def test_the_same_drawings_with_and_without_a_key_id_are_in_the_shards_once(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    write(tmp_path / "in", **{names[0]: google(range(60)), names[1]: mine(range(60)) * 2})
    manifest = build(tmp_path / "in", tmp_path / "out")
    counts = counts_of(manifest)
    assert counts[f"{names[0]}.ndjson"] == (60, 60, 0, 0, 0)
    assert counts[f"{names[1]}.ndjson"] == (120, 0, 120, 0, 0)
    assert manifest.keyless_duplicates == 120
    assert sorted(row[0] >> 21 for row in rows_of(tmp_path / "out")) == list(range(5_000, 5_060))
    assert all(len(splits) == 1 for splits in splits_of_strokes(tmp_path / "out").values())
    assert verify_folder(tmp_path / "out", deep=True) == []
    # The rows are those of a build of the drawings with a key_id alone.
    build(write(tmp_path / "keyed", a=google(range(60))), tmp_path / "alone")
    assert parquets_of(tmp_path / "out") == parquets_of(tmp_path / "alone")


def test_only_drawings_with_the_same_word_and_strokes_are_dropped(tmp_path: Path) -> None:
    other = mine(range(30), "hut") + mine(range(100, 120)) + mine(range(100, 105))
    write(tmp_path / "in", a=google(range(60)), b=other + mine(range(50, 60)))
    manifest = build(tmp_path / "in", tmp_path / "out")
    assert counts_of(manifest)["b.ndjson"] == (65, 50, 15, 0, 0)
    assert manifest.keyless_duplicates == 10
    assert verify_folder(tmp_path / "out", deep=True) == []


def test_a_drawing_whose_twin_the_options_leave_out_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "in", a=google(range(60)), b=mine(range(60)))
    first = build(tmp_path / "in", tmp_path / "first", drawings_per_class=40)
    assert (first.keyless_duplicates, counts_of(first)["a.ndjson"][1]) == (None, 40)
    some = build(tmp_path / "in", tmp_path / "some", skip_per_class=40, drawings_per_class=70)
    assert counts_of(some) == {"a.ndjson": (60, 20, 0, 40, 0), "b.ndjson": (60, 40, 10, 10, 0)}
    assert verify_folder(tmp_path / "some", deep=True) == []
    write(tmp_path / "in", a=google(range(60), recognized=True))
    known = build(tmp_path / "in", tmp_path / "known", recognized_only=True)
    assert counts_of(known) == {"a.ndjson": (60, 60, 0, 0, 0), "b.ndjson": (60, 0, 0, 60, 0)}
    assert known.keyless_duplicates is None


@pytest.mark.parametrize("lines", [google(range(60)), mine(range(60))], ids=["keyed", "keyless"])
def test_where_all_drawings_are_of_one_kind_the_manifest_has_no_new_field(tmp_path: Path, lines: bytes) -> None:
    manifest = build(write(tmp_path / "in", a=lines * 2), tmp_path / "out")
    assert manifest.keyless_duplicates is None
    assert "keyless" not in (tmp_path / "out" / MANIFEST).read_text()
    assert counts_of(manifest) == {"a.ndjson": (120, 60, 60, 0, 0)}


def test_workers_chunks_and_blocks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyed = random_drawings("cat", 300, 1) + random_drawings("dog", 300, 2)
    write(tmp_path / "in", a=keyed, b=keyless(keyed) + mine(range(60)))
    one = build(tmp_path / "in", tmp_path / "one", num_shards=3)
    assert one.keyless_duplicates == 600
    monkeypatch.setattr(twins, "_HELD", 50)
    build(tmp_path / "in", tmp_path / "two", num_shards=3, workers=2, chunk_bytes=1 << 20, segment_bytes=4_000)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_words_and_strokes_are_compared_and_not_how_a_line_writes_them(quickdraw: Path, tmp_path: Path) -> None:
    escaped = json.dumps({"word": "café", "drawing": house(1)}).encode() + b"\n"
    assert b"\\u00e9" in escaped
    write(tmp_path / "words", a=record("café", 1, house(1)), b=escaped)
    assert build(tmp_path / "words", tmp_path / "out").keyless_duplicates == 1
    # Raw drawings without a key_id beside the same ones, as Google simplified them.
    raw = gzip.decompress((quickdraw / "raw" / "cat.ndjson.gz").read_bytes())
    simple = (quickdraw / "simplified" / "cat.ndjson").read_bytes()
    keys = {json.loads(line)["key_id"] for line in simple.splitlines()}
    both = b"".join(line + b"\n" for line in raw.splitlines() if json.loads(line)["key_id"] in keys)
    write(tmp_path / "raw", a=simple, b=keyless(both))
    manifest = build(tmp_path / "raw", tmp_path / "simplified")
    assert manifest.keyless_duplicates is not None
    assert manifest.keyless_duplicates > 0.99 * both.count(b"\n") > 10
    assert verify_folder(tmp_path / "simplified", deep=True) == []


def test_binary_drawings_have_key_ids(tmp_path: Path) -> None:
    packed = b""
    for k in range(60):
        ((x, y),) = house(k)
        head = struct.pack("<Q2sbIH", (5_000 + k) << 21, b"DE", 1, 1_500_000_000, 1)
        packed += head + struct.pack("<H", len(x)) + bytes(x) + bytes(y)
    write(tmp_path / "in", b=mine(range(60)))
    (tmp_path / "in" / "house.bin").write_bytes(packed)
    manifest = build(tmp_path / "in", tmp_path / "out")
    assert counts_of(manifest) == {"b.ndjson": (60, 0, 60, 0, 0), "house.bin": (60, 60, 0, 0, 0)}


def test_a_key_id_that_is_the_hash_of_its_drawing_is_none_of_its_own(tmp_path: Path) -> None:
    """Lines that were made from shards have such key_ids."""

    def exported(keys: Sequence[int]) -> bytes:
        lines = ({"word": "house", "key_id": str(content_key("house", house(k))), "drawing": house(k)} for k in keys)
        return b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    write(tmp_path / "in", a=google(range(60)), b=exported(range(30, 90)))
    manifest = build(tmp_path / "in", tmp_path / "out")
    assert counts_of(manifest) == {"a.ndjson": (60, 60, 0, 0, 0), "b.ndjson": (60, 30, 30, 0, 0)}
    assert verify_folder(tmp_path / "out", deep=True) == []
    write(tmp_path / "own", a=mine(range(60)), b=exported(range(60)))
    assert build(tmp_path / "own", tmp_path / "once").keyless_duplicates is None
    assert len(rows_of(tmp_path / "once")) == 60


def test_a_drawing_of_other_strokes_whose_key_id_is_the_hash_of_a_repeated_one_is_kept(tmp_path: Path) -> None:
    key = content_key("house", house(7))
    other = {"word": "house", "key_id": str(key), "drawing": house(99)}
    write(tmp_path / "in", a=google(range(60)), b=mine([7]) + json.dumps(other).encode() + b"\n")
    manifest = build(tmp_path / "in", tmp_path / "out")
    assert counts_of(manifest)["b.ndjson"] == (2, 1, 1, 0, 0)
    assert [row[2] for row in rows_of(tmp_path / "out") if row[0] == key] == [house(99)]
    assert verify_folder(tmp_path / "out", deep=True) == []


def test_the_command_says_how_many_drawings_without_a_key_id_were_dropped(tmp_path: Path) -> None:
    write(tmp_path / "in", a=google(range(60)), b=mine(range(60)))
    command = [str(SKETCHPIPE), "shards", str(tmp_path / "in"), "--to", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"  not in a shard: 60 duplicates\n  60 duplicates without a key_id: {SAME}\n" in done.stderr


def test_the_estimate_counts_the_hashes(tmp_path: Path) -> None:
    lines = random_drawings("cat", 2, 1)
    sizes = []
    for texts in ([lines, lines], [keyless(lines)] * 2, [lines, keyless(lines)]):
        write(tmp_path, a=texts[0], b=texts[1])
        needed = estimate_build(find_sources([str(tmp_path)]), BuildOptions())
        sizes.append((needed.spill_bytes, needed.drawings))
    spills = [size for size, _ in sizes]
    assert spills[2] > spills[0] == spills[1]
    assert spills[2] - spills[0] == pytest.approx(8 * sizes[2][1], abs=8)


def test_a_shard_whose_twins_are_in_other_shards_is_rebuilt_to_the_same_bytes(tmp_path: Path) -> None:
    keyed = random_drawings("cat", 100, 1)
    write(tmp_path / "in", a=keyed, b=keyless(keyed) + mine(range(60)) + b"bad\n")
    out = tmp_path / "out"
    build(tmp_path / "in", out, num_shards=3)
    whole = files_of(out)
    assert len(whole) > 5
    for name in whole:
        (out / name).unlink() if name != MANIFEST else (out / name).write_text("{}")
        assert [damage.name for damage in repair_folder(out, workers=2)] == [name]
        assert files_of(out) == whole


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Shards of 100 drawings without a key_id and 80 with one, 40 of them with the same strokes, as none is built."""
    write(tmp_path / "keyed", a=google(range(60, 140)))
    write(tmp_path / "keyless", a=mine(range(100)))
    for name in ("keyed", "keyless"):
        build(tmp_path / name, tmp_path / f"{name}-shards", num_shards=2)
    folder = Path(shutil.copytree(tmp_path / "keyed-shards", tmp_path / "mixed"))
    other = tmp_path / "keyless-shards"
    counts: Counter[str] = Counter()
    for file in read_manifest(folder).files:
        table = pa.concat_tables(pq.read_table(at / file.name) for at in (folder, other) if (at / file.name).exists())
        order = np.argsort(order_hash(np.asarray(table.column("key_id")), 0), kind="stable")
        forge(folder, file.name, table.unify_dictionaries().combine_chunks().take(order))
        counts[file.split] += table.num_rows
    manifest = read_manifest(folder)
    text = replace(manifest, counts={split: (rows,) for split, rows in counts.items()}).dump()
    (folder / MANIFEST).write_text(text)
    assert sum(counts.values()) == 180
    return folder


@pytest.mark.parametrize("held", [1 << 21, 7])
def test_verify_finds_drawings_without_a_key_id_that_are_there_with_one(
    mixed: Path, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "_HELD", held)
    assert verify_folder(mixed) == []
    repeated = {content_key("house", house(k)) for k in range(60, 100)}
    of_file = {path.name: pq.read_table(path).column("key_id").to_pylist() for path in sorted(mixed.glob("*.parquet"))}
    expected = {name: len(repeated.intersection(keys)) for name, keys in of_file.items()}
    assert sum(expected.values()) == 40
    assert len([name for name, count in expected.items() if count]) > 1
    found = {damage.name: damage for damage in verify_folder(mixed, deep=True)}
    assert sorted(found) == sorted(name for name, count in expected.items() if count)
    for name, damage in found.items():
        noun = "duplicate" if expected[name] == 1 else "duplicates"
        assert damage.what == f"{expected[name]} {noun} without a key_id: {SAME}"


def test_the_command_calls_them_damage(mixed: Path) -> None:
    command = [str(SKETCHPIPE), "verify", str(mixed)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    deep = subprocess.run([*command, "--deep"], capture_output=True, text=True, check=False)
    assert (deep.returncode, SAME in deep.stdout) == (4, True)
    assert deep.stderr.endswith("damaged; build the folder again with --force\n")
