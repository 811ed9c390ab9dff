"""What a build is said to come to, and what it comes to."""

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pipeline.errors import OutputError
from pipeline.shards.estimate import Estimate, check_space, estimate_build
from pipeline.shards.options import BuildOptions
from pipeline.shards.spill import SpillWriter
from pipeline.sources.files import find_sources
from tests.shards.builds import build, random_drawings, record, records, write

pytestmark = pytest.mark.long

SKETCHPIPE = Path(sys.executable).with_name("sketchpipe")


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def estimate(folder: Path, **options: Any) -> Estimate:
    return estimate_build(find_sources([str(folder)]), BuildOptions(**options))


def spilled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ends of all segments that are written from here on."""
    ends: list[int] = []
    write_segment = SpillWriter.write

    def counted(writer: SpillWriter, waiting: Any) -> Any:
        segment = write_segment(writer, waiting)
        ends.append(int(segment.ends[-1]))
        return segment

    monkeypatch.setattr(SpillWriter, "write", counted)
    return ends


def test_rows_and_bytes_come_out_about_as_estimated(
    quickdraw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = estimate(quickdraw / "simplified")
    ends = spilled(monkeypatch)
    manifest = build(quickdraw / "simplified", tmp_path / "out")
    rows, size = (sum(getattr(file, name) for file in manifest.files) for name in ("rows", "bytes"))
    assert told.input_bytes == sum(path.stat().st_size for path in (quickdraw / "simplified").iterdir())
    assert told.drawings == pytest.approx(rows, rel=0.1)  # of large files only the head is looked at
    assert told.shard_bytes == pytest.approx(size, rel=0.15)
    assert told.spill_bytes == pytest.approx(sum(ends), rel=0.15)
    assert told.seconds > 0


@pytest.mark.parametrize(
    ("options", "drawings"),
    [
        ({"drawings_per_class": 100}, 400),
        ({"drawings_per_class": 100, "skip_per_class": 2_900}, 400),
        ({"skip_per_class": 2_000}, 4_000),
        ({"classes": ("cat", "dog"), "drawings_per_class": 500}, 1_000),
        ({"recognized_only": True}, 6_000),
    ],
)
def test_options_are_reckoned_with(tmp_path: Path, options: dict[str, Any], drawings: int) -> None:
    for k, word in enumerate(("cat", "dog", "ant", "bee")):
        keys = range(3_000 * k, 3_000 * (k + 1))
        lines = b"".join(record(word, key, recognized=key % 2 == 0) for key in keys)
        write(tmp_path, **{word: lines})
    assert estimate(tmp_path, **options).drawings == pytest.approx(drawings, rel=0.05)


def test_a_compressed_source_is_told_by_what_is_in_it(tmp_path: Path) -> None:
    text = records("cat", range(20_000))
    (tmp_path / "cat.ndjson.gz").write_bytes(gzip.compress(text))
    told = estimate(tmp_path)
    assert told.input_bytes == pytest.approx(len(text), rel=0.3)
    assert told.drawings == pytest.approx(20_000, rel=0.3)


def test_a_source_without_a_good_line_is_estimated_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, bad=b"bad\n" * 9, empty=b"")
    assert estimate(tmp_path).drawings == 0


def test_a_build_that_cannot_fit_is_refused_before_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "in", cat=random_drawings("cat", 50, 0) + records("cat", range(20_000)))
    sources, options = find_sources([str(tmp_path / "in")]), BuildOptions()
    needed = estimate_build(sources, options).disk_bytes
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(1 << 40, 1 << 40, needed + 1))
    assert check_space(tmp_path / "out", sources, options) is not None
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(1 << 40, 1 << 40, needed - 1))
    with pytest.raises(OutputError, match=r"out: the build needs about [\d,]+ bytes .* are free; make room"):
        check_space(tmp_path / "out", sources, options)
    # What an earlier build left is taken over or goes.
    (tmp_path / "out" / ".build" / "work").mkdir(parents=True)
    (tmp_path / "out" / ".build" / "work" / "spill").write_bytes(b"12")
    assert check_space(tmp_path / "out", sources, options) is not None


def test_a_dry_run_says_it_all_and_writes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "in", cat=records("cat", range(5_000)))
    command = [
        str(SKETCHPIPE),
        "shards",
        str(tmp_path / "in"),
        "--to",
        str(tmp_path / "out"),
        "--dry-run",
        "--workers",
        "1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    first, *rest = done.stderr.splitlines()
    assert first.endswith("kB to read")
    assert [line.split("about ")[-1].split()[-1] for line in rest[:1]] == ["included"]
    for part in ("drawings, duplicates included", "until they are done", "of disk needed", "on 1 thread"):
        assert part in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_pipe_which_can_be_read_only_once_is_left_to_the_build(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.ndjson"
    os.mkfifo(pipe)
    assert check_space(tmp_path / "out", find_sources([str(pipe)]), BuildOptions()) is None
    command = [str(SKETCHPIPE), "shards", str(pipe), "--to", str(tmp_path / "out")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        pipe.write_bytes(records("cat", range(50)))
        _, said = process.communicate(timeout=120)
    assert (process.returncode, "50 drawings of 1 class" in said) == (0, True), said
