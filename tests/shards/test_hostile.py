"""Input that means harm: class names that look like paths, bombs, files cut short, mixtures of everything."""

import gzip
import json
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import zstandard

from pipeline.errors import DamagedError, InputError
from pipeline.shards.manifest import read_manifest
from tests.shards.builds import build, counts_of, files_of, keys_of, peak_bytes, record, records, rows_of, write

pytestmark = pytest.mark.long

SKETCHPIPE = Path(sys.executable).with_name("sketchpipe")
NAMES = [
    "../x",
    "/etc/passwd",
    "..",
    ".",
    "a/b",
    "a\\b",
    "nul\0byte",
    "x" * 256,
    "CON",
    "con.txt",
    "😀 emoji 👩‍🚀",
    unicodedata.normalize("NFC", "café"),
    unicodedata.normalize("NFD", "café"),
    "-rf",
    "--force",
    "@file",
    "a,b",
    " leading and trailing ",
    "line\nbreak",
    "tab\t",
    "quote\"and'",
    "$(touch x)",
    "%2e%2e%2fx",
    "\u202egnp",
    "\ufeffbom",
    "\x7f",
    "manifest.json",
    ".build",
    "train-00000-of-00001.parquet",
    "İstanbul",
    "\U0010ffff",
]


def outside(folder: Path, but: str) -> list[str]:
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.relative_to(folder).parts[0] != but
    )


def test_class_names_of_any_kind_round_trip_and_write_nothing_outside_the_target(tmp_path: Path) -> None:
    write(tmp_path / "in", all=b"".join(record(name, key) for key, name in enumerate(NAMES)))
    before = outside(tmp_path, "out")
    manifest = build(tmp_path / "in", tmp_path / "out", splits="1,0,0")
    assert list(manifest.classes) == sorted(NAMES, key=str.encode)
    assert read_manifest(tmp_path / "out").classes == manifest.classes
    assert {row[0] >> 21: row[1] for row in rows_of(tmp_path / "out")} == dict(enumerate(NAMES))
    assert outside(tmp_path, "out") == before
    assert sorted(files_of(tmp_path / "out")) == ["manifest.json", "train-00000-of-00001.parquet"]
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_dir()] == [tmp_path / "out" / ".build"]


def run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(SKETCHPIPE), *command], capture_output=True, text=True, check=False, **options)


def test_commands_take_and_show_class_names_of_any_kind(tmp_path: Path) -> None:
    lines = b"".join(record(name, 100 * k + copy) for k, name in enumerate(NAMES) for copy in range(4))
    write(tmp_path / "in", all=lines)
    chosen = ["-rf", "../x", "a,b", "/etc/passwd", NAMES[10]]
    (tmp_path / "list.txt").write_text("\n".join(chosen), encoding="utf-8")
    built = run("shards", str(tmp_path / "in"), "--to", str(tmp_path / "out"), "--classes", f"@{tmp_path / 'list.txt'}")
    assert (built.returncode, built.stdout) == (0, "")
    shown = run("inspect", str(tmp_path / "out"), "--json")
    assert sorted(json.loads(shown.stdout)["classes"]) == sorted(chosen)
    before = outside(tmp_path, "sheet.png")
    sheet = run("render", "sheet", str(tmp_path / "out"), "--to", str(tmp_path / "sheet.png"))
    assert (sheet.returncode, (tmp_path / "sheet.png").exists()) == (0, True)
    assert outside(tmp_path, "sheet.png") == before
    one = run("shards", str(tmp_path / "in"), "--to", str(tmp_path / "one"), "--classes=-rf")
    assert one.returncode == 0
    assert read_manifest(tmp_path / "one").classes == ("-rf",)


def test_a_bomb_stays_within_the_memory_that_any_file_may_take(tmp_path: Path) -> None:
    letters = gzip.compress(b"x" * (1 << 20), 9) * 1024  # 1 GiB of one letter, one line, in a MB
    good = gzip.compress(b"\n" + records("cat", range(9)))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cat.ndjson.gz").write_bytes(letters + good)
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak memory of a process is read from /proc, which is not here")
    build(write(tmp_path / "warm", cat=records("cat", range(9))), tmp_path / "warmed")  # compiling takes more
    code, peak, said = peak_bytes("shards", str(tmp_path / "in"), "--to", str(tmp_path / "out"), "--workers", "1")
    assert code == 0, said
    assert peak < 400e6
    assert counts_of(read_manifest(tmp_path / "out")) == {"cat.ndjson.gz": (10, 9, 0, 0, 1)}
    (line,) = (tmp_path / "out" / "rejects.ndjson").read_text().splitlines()
    assert json.loads(line)["reason"] == "line-too-long"


def compressed(kind: str, text: bytes) -> bytes:
    return gzip.compress(text) if kind == "gzip" else zstandard.ZstdCompressor(write_checksum=True).compress(text)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_file_cut_short_is_an_error_that_says_where_it_ends_and_what_was_read(tmp_path: Path, kind: str) -> None:
    # Incompressible enough that the cut is far behind the first block of either format.
    lines = [
        record("cat", key, [[[key % 256, key * 7 % 256], [key * 13 % 256, key * 31 % 256]]]) for key in range(40_000)
    ]
    whole = compressed(kind, b"".join(lines))
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "cat.ndjson"
    path.write_bytes(whole[: len(whole) * 3 // 4])
    for strict in (False, True):
        with pytest.raises(DamagedError) as error:
            build(tmp_path / "in", tmp_path / "out", strict=strict)
        assert f"cat.ndjson: its {kind} stream is cut short at byte {len(whole) * 3 // 4}; " in str(error.value)
        assert "fetch the file anew with `sketchpipe download`" in str(error.value)
        read = int(str(error.value).split(" drawings that were read")[0].split()[-1].replace(",", ""))
        assert 10_000 < read < 40_000
        assert files_of(tmp_path / "out") == {}


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_garbage_behind_a_compressed_file_costs_no_drawing_and_is_named(tmp_path: Path, kind: str) -> None:
    whole = compressed(kind, records("cat", range(50))[:-1])
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cat.ndjson").write_bytes(whole + b"garbage")
    manifest = build(tmp_path / "in", tmp_path / "out", keep_going=True)
    assert counts_of(manifest) == {"cat.ndjson": (51, 50, 0, 0, 1)}
    (line,) = (tmp_path / "out" / "rejects.ndjson").read_text().splitlines()
    assert (
        f"7 bytes after the end of the {kind} stream at byte {len(whole)} are not {kind}" in json.loads(line)["message"]
    )
    with pytest.raises(InputError, match=f"at byte {len(whole)} are not {kind}.*--strict"):
        build(tmp_path / "in", tmp_path / "strict", strict=True, keep_going=True)
    with pytest.raises(DamagedError, match=f"at byte {len(whole)} are not {kind}; .* nothing of it is used"):
        build(tmp_path / "in", tmp_path / "error")


def test_a_mixture_of_all_kinds_is_one_set_and_each_source_balances(quickdraw: Path, tmp_path: Path) -> None:
    mixed = write(tmp_path / "in", mine=records("cat", range(30)) + b"bad\n")
    (mixed / "zipped.ndjson").write_bytes(gzip.compress(records("dog", range(30, 60)) + b"[]\n"))
    (mixed / "late.jsonl").write_bytes(compressed("zstd", records("dog", range(50, 80))))
    (mixed / "dog.bin").write_bytes((quickdraw / "binary" / "dog.bin").read_bytes())
    simplified, raw = quickdraw / "simplified" / "dog.ndjson", quickdraw / "raw" / "dog.ndjson.gz"
    manifest = build([mixed, simplified, raw], tmp_path / "out", workers=2)
    for source in manifest.sources:
        assert source.read == source.written + source.duplicates + source.filtered + source.rejected
    by_file = {source.name.rpartition("/")[2]: source for source in manifest.sources}
    assert by_file["dog.bin"].read == 49
    assert by_file["late.jsonl"].duplicates + by_file["zipped.ndjson"].duplicates == 10
    # 40 of the binary drawings stand in the simplified file too, but for the fractions of their seconds.
    assert by_file["dog.bin"].duplicates + by_file["dog.ndjson"].duplicates >= 40
    assert by_file["dog.ndjson.gz"].rejected == 0
    # Google simplified the raw ones to what stands in the simplified file: to the same drawings.
    assert by_file["dog.ndjson.gz"].read == 24
    assert by_file["dog.ndjson.gz"].duplicates >= 20
    assert sum(source.written for source in manifest.sources) == len(keys_of(tmp_path / "out"))


def test_bitmaps_are_not_taken_for_drawings(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cat.npy").write_bytes(b"\x93NUMPY")
    for source in ("in", "in/cat.npy"):
        with pytest.raises(InputError, match=r"bitmaps.*have no strokes.*`sketchpipe render bitmaps --help`"):
            build(tmp_path / source, tmp_path / "out")
