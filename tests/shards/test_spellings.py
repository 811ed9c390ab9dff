"""Spellings of the same shares are the same options: nothing is built again, and old folders keep their meaning."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import LockedError, ShardError, UsageError
from pipeline.shards.folder import build_folder
from pipeline.shards.manifest import SHARDS, read_manifest
from pipeline.shards.options import BuildOptions
from pipeline.shards.shuffle import canonical_splits
from tests.shards.builds import build, records, write

HOLD = """
import sys
from pathlib import Path
from pipeline.storage.commit import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
SAME = ["0.8,0.1,0.1", "0.80,0.10,0.10", ".8,.1,.1", " 0.8 , 0.1, 0.1 ", "8e-1,1e-1,1E-1", "4/5,1/10,10/100"]


@pytest.mark.parametrize("text", SAME)
def test_spellings_of_the_same_shares_are_one_text(text: str) -> None:
    assert canonical_splits(text) == "0.8,0.1,0.1"
    assert BuildOptions(splits=text) == BuildOptions()


@pytest.mark.parametrize(
    "text", ["1e999999999,0,0", "1e-999999999,0,1", "0.8,0.1", "nan,0,1", "-1,1,1", "9" * 99 + ",0,0"]
)
def test_what_are_no_shares_is_refused_at_once(text: str) -> None:
    with pytest.raises(UsageError, match="expected three shares"):
        canonical_splits(text)


def test_another_spelling_builds_nothing_even_where_an_older_version_stored_it(tmp_path: Path) -> None:
    source, folder = write(tmp_path / "in", cat=records("cat", range(50))), tmp_path / "out"
    build(source, folder)
    origin = folder / ".build" / SHARDS.origin
    fields = json.loads(origin.read_text())
    fields["options"]["splits"] = "0.80,0.10,0.10"
    old = {"options": fields["options"], "sources": [stamp[:4] for stamp in fields["sources"]]}
    origin.write_text(json.dumps(old))
    for text in SAME:
        assert not build_folder([str(source)], folder, BuildOptions(splits=text))[1]


def test_a_build_is_cut_off_only_if_no_process_is_putting_it_in_place(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    build(write(tmp_path / "in", cat=records("cat", range(50))), folder)
    (folder / ".build" / SHARDS.journal).write_text("{}")
    with pytest.raises(ShardError, match="was cut off"):
        read_manifest(folder)
    held = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(held, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=f"process {child.pid} is putting a build in place"):
            read_manifest(folder)
        child.communicate()
