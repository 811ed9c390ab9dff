"""What a folder of shards is said to hold is counted from its rows."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import InputError, ShardError
from pipeline.shards.contents import read_contents
from pipeline.shards.manifest import MANIFEST, read_manifest
from tests.shards.builds import build, records, write


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    sources = write(tmp_path / "in", cat=records("cat", range(60)), dog=records("dog", range(60, 100)))
    build(sources, tmp_path / "shards")
    return tmp_path / "shards"


def test_the_rows_of_each_class_and_split_are_counted(shards: Path) -> None:
    contents, manifest = read_contents(shards), read_manifest(shards)
    assert {word: sum(of.values()) for word, of in contents.classes.items()} == {"cat": 60, "dog": 40}
    assert contents.drawings == {split: manifest.rows(split) for split in ("train", "validation", "test")}
    assert (contents.points_per_drawing, contents.strokes_per_drawing, contents.read) == (2.0, 1.0, 100)
    assert contents.bytes == sum(path.stat().st_size for path in shards.glob("*.parquet"))


def test_a_manifest_that_counts_otherwise_is_an_error(shards: Path) -> None:
    manifest = read_manifest(shards)
    swapped = {split: tuple(reversed(counts)) for split, counts in manifest.counts.items()}
    (shards / MANIFEST).write_text(dataclasses.replace(manifest, counts=swapped).dump())
    with pytest.raises(ShardError, match="its shards do not hold what its manifest counts"):
        read_contents(shards)


def test_a_folder_that_is_missing_is_an_error_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: no such folder; make shards with"):
        read_contents(tmp_path / "none")


def test_nothing_else_imports_polars() -> None:
    program = (
        "import sys, json; import pipeline.cli.main, pipeline.shards.contents, pipeline.loading.loader; "
        "import model.training.train; print(json.dumps('polars' in sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) is False
