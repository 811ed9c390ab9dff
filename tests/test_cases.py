"""Small inputs that failed in other hands, read in place beside the repository: what each of them gives today."""

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError
from pipeline.shards.manifest import Manifest, read_manifest
from pipeline.sources.read import read_named
from tests.small import in_process

CASES = Path(__file__).parents[2] / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"{CASES} is not here: these inputs were not read")


def built(source: str, tmp_path: Path) -> tuple[Manifest, str]:
    """The shards of a source, and what the command says of them."""
    ran = in_process("shards", str(CASES / source), "--to", "out", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    return read_manifest(tmp_path / "out"), ran.stderr


def refused(source: str, tmp_path: Path) -> str:
    """The one line with which the build and the dry run refuse a source, as missing or bad input."""
    says = []
    for more in ((), ("--dry-run",)):
        ran = in_process("shards", str(CASES / source), "--to", "out", *more, cwd=tmp_path)
        assert ran.returncode == 3, ran.stderr
        says.append(ran.stderr.splitlines()[-1])
    assert says[0] == says[1]
    assert says[0].startswith("sketchpipe: ")
    assert not (tmp_path / "out").exists()
    return says[0]


def total(manifest: Manifest) -> int:
    return sum(file.rows for file in manifest.files)


def test_archive_as_lines(tmp_path: Path) -> None:
    assert "a tar archive; unpack it first: tar -xf FILE" in refused("archive-as-lines/house.ndjson.gz", tmp_path)


@pytest.mark.parametrize(("folder", "count"), [("src", 50), ("src2", 5000)])
def test_array_of_lines(tmp_path: Path, folder: str, count: int) -> None:
    manifest, _ = built(f"array-of-lines/{folder}", tmp_path)
    assert (total(manifest), manifest.rejects) == (count, {})


def test_binary_names(tmp_path: Path) -> None:
    manifest, _ = built("binary-names/src", tmp_path)
    assert (manifest.classes, total(manifest), len(manifest.sources)) == (("dog",), 3, 3)


def test_constant_key(tmp_path: Path) -> None:
    manifest, said = built("constant-key/src", tmp_path)
    assert (total(manifest), manifest.rows("test")) == (40, 40)
    assert "no drawings in train and validation: all 40 drawings share one key_id" in said
    assert "leave the field out" in said


def test_dry_run_no_drawing(tmp_path: Path) -> None:
    """`drawing` is a string of JSON, which is read today: the dry run and the build agree."""
    ran = in_process("shards", str(CASES / "dry-run-no-drawing/src"), "--to", "out", "--dry-run", cwd=tmp_path)
    assert (ran.returncode, "about 5 drawings" in ran.stderr) == (0, True)
    manifest, _ = built("dry-run-no-drawing/src", tmp_path)
    assert (total(manifest), manifest.rejects) == (5, {})


def test_lookalike_words(tmp_path: Path) -> None:
    manifest, said = built("lookalike-words/src", tmp_path)
    assert manifest.classes == (" cat", "CAT", "Cat", "cat", "cat ")
    assert 'and are kept apart: " cat" and "CAT" and "Cat" and "cat" and "cat "' in said


@pytest.mark.parametrize(
    ("folder", "notes", "field", "value"),
    [
        ("src-rec-int", None, "recognized", True),
        ("src-ts-empty", {"timestamp-empty": 5}, "timestamp", None),
        ("src-key-text", None, "countrycode", "DE"),
        ("src-key-float", None, "countrycode", "DE"),
    ],
)
def test_metadata_kills(tmp_path: Path, folder: str, notes: dict[str, int] | None, field: str, value: object) -> None:
    manifest, said = built(f"metadata-kills/{folder}", tmp_path)
    assert (total(manifest), manifest.rejects, manifest.notes) == (5, {}, notes)
    assert ("fields read as null: timestamp empty in 5 lines" in said) == (notes is not None)
    rows = [row for file in manifest.files for row in pq.read_table(tmp_path / "out" / file.name).to_pylist()]
    assert {row[field] for row in rows} == {value}
    assert len({row["key_id"] for row in rows}) == 5


def test_pandas_roundtrip(tmp_path: Path) -> None:
    manifest, _ = built("pandas-roundtrip/src", tmp_path)
    assert (total(manifest), manifest.rejects, manifest.notes) == (20, {}, None)
    rows = [row for file in manifest.files for row in pq.read_table(tmp_path / "out" / file.name).to_pylist()]
    first = next(row for row in rows if row["key_id"] == 1_000_000_000_000_000)
    assert str(first["timestamp"]).startswith("2024-05-01 10:00:00")


def test_passed_over_in_silence(tmp_path: Path) -> None:
    manifest, said = built("passed-over-in-silence/src", tmp_path)
    assert manifest.classes == ("bear", "cat", "house")
    assert total(manifest) == 41
    assert f"passed over in {CASES / 'passed-over-in-silence/src'}: 1 .json, 1 .part, 1 .zip\n" in said


def test_point_pairs(tmp_path: Path) -> None:
    said = refused("point-pairs/src", tmp_path)
    assert "triangle.ndjson:21: its strokes are lists of points, and then those of line 1 may be too" in said
    assert "[list(zip(*stroke)) for stroke in drawing]" in said


def test_predict_bin() -> None:
    drawings = list(read_named([str(CASES / "predict-bin/house.bin")]))
    assert [(part.words, len(part)) for part in drawings] == [(["house"], 1)]


@pytest.mark.parametrize(
    ("name", "kind"), [("picture.png", r"a picture \(PNG\), which has no strokes"), ("utf16.ndjson", "text in UTF-16")]
)
def test_predict_not_ndjson(name: str, kind: str) -> None:
    rejects: list[object] = []
    with pytest.raises(InputError, match=f"{name}: {kind}; "):
        list(read_named([str(CASES / "predict-not-ndjson" / name)], rejects.append))
    assert not rejects


@pytest.mark.parametrize("name", ["nolabel.ndjson", "nullword.ndjson"])
def test_predict_unlabelled(name: str) -> None:
    rejects: list[object] = []
    drawings = list(read_named([str(CASES / "predict-unlabelled" / name)], rejects.append))
    assert [[part.words[word] for word in part.word] for part in drawings] == [[""]]
    assert not rejects


def test_same_strokes_other_key(tmp_path: Path) -> None:
    manifest, said = built("same-strokes-other-key/src", tmp_path)
    assert (total(manifest), manifest.keyless_duplicates) == (60, 60)
    assert "60 duplicates without a key_id" in said
    splits: Counter[tuple[bytes, ...]] = Counter()
    for file in manifest.files:
        for row in pq.read_table(tmp_path / "out" / file.name, columns=["x", "y", "stroke_end"]).to_pylist():
            splits[bytes(row["x"]), bytes(row["y"]), bytes(row["stroke_end"])] += 1
    assert set(splits.values()) == {1}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lfs.bin", "a git-lfs pointer, not the file itself; fetch the file: git lfs pull"),
        ("lfs.ndjson", "a git-lfs pointer, not the file itself; fetch the file: git lfs pull"),
        ("utf16.ndjson", "text in UTF-16; convert it to UTF-8: iconv -f UTF-16"),
        ("page.ndjson", "a web page or XML"),
        ("noword.ndjson", 'give each line the class of its drawing, as in "word": "cat"'),
    ],
)
def test_what_is_it_refused(tmp_path: Path, name: str, words: str) -> None:
    assert words in refused(f"what-is-it/{name}", tmp_path)


@pytest.mark.parametrize(
    ("name", "notes"),
    [
        ("kaggle.csv", None),
        ("ink.ndjson", None),
        ("string.ndjson", None),
        ("whole-floats.ndjson", None),
        ("floats.ndjson", {"canvas-coordinates": 1}),
    ],
)
def test_what_is_it_read(tmp_path: Path, name: str, notes: dict[str, int] | None) -> None:
    manifest, said = built(f"what-is-it/{name}", tmp_path)
    assert (total(manifest), manifest.classes, manifest.rejects, manifest.notes) == (1, ("house",), {}, notes)
    assert ("simplified: 1 drawing in canvas coordinates" in said) == (notes is not None)
