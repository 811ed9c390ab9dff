"""What `sketchpipe bench` measures, says and leaves behind."""

import errno
import json
import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.kernels.choice import kernels_here
from pipeline.bench import measure as speed
from pipeline.bench.inputs import lines_of, write_text
from pipeline.bench.measure import ALL_BYTES, ALL_DRAWINGS
from pipeline.bench.replicas import replicate
from pipeline.errors import InputError
from pipeline.loading import loader
from pipeline.shards.read import open_split
from pipeline.threads import core_count
from tests.shards.builds import build
from tests.small import command, in_process, sample_shards, without_compiling

pytestmark = pytest.mark.long

STAGES = ["scan", "build", "read", "render", "feed", "feed augmented"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_shards(tmp_path_factory)


@pytest.fixture
def _little(monkeypatch: pytest.MonkeyPatch) -> None:
    """As little work as has all its parts."""
    monkeypatch.setattr(speed, "SECONDS", 0.05)
    monkeypatch.setattr(speed, "TEXT_BYTES", 500_000)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made in this test."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path / "tmp"


@pytest.mark.usefixtures("_little")
def test_the_json_holds_a_rate_of_every_stage_and_hours_that_follow_from_them(temporary: Path, tmp_path: Path) -> None:
    ran = in_process("bench", "--json", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    told: dict[str, Any] = json.loads(ran.stdout)
    cores = core_count()
    assert told["cores"] == cores
    assert list(dict.fromkeys(rate["stage"] for rate in told["rates"])) == STAGES
    assert {rate["threads"] for rate in told["rates"]} == {1, cores}
    best = {rate["stage"]: rate for rate in told["rates"]}
    assert all(rate["drawings_per_second"] > 0 for rate in told["rates"])
    for stage, rate in best.items():
        assert (rate["bytes_per_second"] is not None) == (stage in ("scan", "build"))
    per_second = best["build"]["drawings_per_second"] * told["bytes_per_line"]
    assert best["build"]["bytes_per_second"] == pytest.approx(per_second)
    assert told["build_hours"] == pytest.approx(ALL_BYTES / per_second / 3600)
    each = sum(1 / best[stage]["drawings_per_second"] for stage in ("read", "feed augmented"))
    assert told["epoch_hours"] == pytest.approx(ALL_DRAWINGS * each / 3600)
    assert (told["synthetic"], told["image_size"]) == (True, 64)
    assert 40 < told["points_per_drawing"] < 60
    assert set(told["versions"]) == {"python", "sketchpipe", "numpy", "numba", "pyarrow"}
    assert told["peak_memory_bytes"] > 10**7
    assert told["training_kernels"] == kernels_here()
    assert list(temporary.iterdir()) == []


@pytest.mark.usefixtures("_little")
def test_the_table_says_whose_drawings_these_are_and_leaves_the_shards_alone(
    shards: Path, temporary: Path, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in shards.rglob("*")}
    ran = in_process("bench", "--shards", str(shards), cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert f"drawings of {shards} (synthetic), " in ran.stdout
    rows = ("scan ndjson", "build shards", "read shards, rows permuted", "render", "feed: read and render")
    for label in (*rows, "feed, augmented"):
        assert re.search(rf"^{label} .*\d", ran.stdout, re.MULTILINE)
    assert "Google's 50 million drawings: shards of their 23 GB in " in ran.stdout
    assert {path: path.stat().st_mtime_ns for path in shards.rglob("*")} == before
    assert list(temporary.iterdir()) == []


def test_an_interrupted_bench_leaves_nothing_behind(shards: Path, temporary: Path, tmp_path: Path) -> None:
    words = command("bench", "--shards", str(shards))
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as ran:
        while not list(temporary.glob("sketchpipe-bench-*/drawings.ndjson")):
            assert ran.poll() is None
        ran.send_signal(signal.SIGINT)
        assert ran.stderr is not None
        assert (without_compiling(ran.stderr.read()), ran.wait()) == ("sketchpipe: interrupted\n", 130)
    assert list(temporary.iterdir()) == []


def test_what_cannot_be_measured_is_an_error_in_one_line(temporary: Path, tmp_path: Path) -> None:
    for words, code, message in (
        (("--shards", "nowhere"), 3, "nowhere: no such folder; make shards with"),
        (("--shards", "tmp"), 3, r"no shards here \(manifest"),
    ):
        ran = in_process("bench", *words, cwd=tmp_path)
        assert (ran.returncode, ran.stdout) == (code, "")
        assert re.match(f"sketchpipe: .*{message}.*\n$", ran.stderr)
    assert list(temporary.iterdir()) == []


@pytest.mark.usefixtures("_little")
def test_a_full_disk_is_told_with_the_folder_and_the_remedy(
    shards: Path, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert tempfile.gettempdir() == str(temporary)  # which it tries to write to, the first time
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        ran = in_process("bench", "--shards", str(shards), cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (6, "")
    message = f"sketchpipe: {temporary}: bench cannot write there .*No space left .*; set TMPDIR to"
    assert re.match(message, ran.stderr)
    assert list(temporary.iterdir()) == []


@pytest.mark.usefixtures("_little", "temporary")
def test_reading_counts_once_where_feeding_reads(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (speed, loader):
        monkeypatch.setattr(module, "KEPT_ROW_GROUPS", 1)
    told = speed.measure_speed(shards)
    fed = next(rate for rate in told.rates if rate.stage == "feed augmented")
    assert told.epoch_hours == pytest.approx(ALL_DRAWINGS / fed.drawings_per_second / 3600)


def test_repeated_lines_are_drawings_that_a_build_takes_all(shards: Path, tmp_path: Path) -> None:
    split = open_split(shards, "train")
    lines = lines_of(split)
    assert write_text(tmp_path / "drawings.ndjson", lines, 0).drawings == len(lines)
    text = write_text(tmp_path / "drawings.ndjson", lines, 3 * sum(map(len, lines)))
    assert text.bytes == (tmp_path / "drawings.ndjson").stat().st_size
    assert text.drawings >= 2 * len(lines)
    made = build(text.source.path, tmp_path / "out")
    assert (made.sources[0].written, made.same_key) == (text.drawings, 0)
    keys = [json.loads(line)["key_id"] for line in text.source.path.read_bytes().splitlines()]
    assert {len(key) for key in keys} == {16}
    strokes = json.loads(text.source.path.read_bytes().splitlines()[0])["drawing"]
    assert strokes == split.read_row_group(0).take(np.array([0])).strokes(0)


def test_replicas_keep_the_shares_of_their_files_and_every_key_id_occurs_once(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    sizes = {"cat": 2, "dog": 6}
    for word, count in sizes.items():
        lines = [f'{{"word":"{word}","key_id":"{k}","drawing":[[[0,9],[0,9]]]}}\n' for k in range(count)]
        (tmp_path / "from" / f"{word}.ndjson").write_text("".join(lines))
    made = replicate(tmp_path / "from", tmp_path / "to", 20_000)
    assert made.size == sum((tmp_path / "to" / name).stat().st_size for name in made.lines) <= 20_000
    assert made.lines["dog.ndjson"] == pytest.approx(3 * made.lines["cat.ndjson"], abs=3)
    found = [json.loads(line) for name in made.lines for line in (tmp_path / "to" / name).read_bytes().splitlines()]
    keys = {int(line["key_id"]) for line in found}
    assert len(keys) == len(found) == made.total_lines
    assert sum(keys) % 2**64 == made.key_sum
    assert all(len(str(key)) == 16 and key % 2**21 == 0 for key in keys)
    assert replicate(tmp_path / "from", tmp_path / "to", 20_000) == made  # as it stands
    with pytest.raises(InputError, match="has no lines in"):
        replicate(tmp_path / "to" / "none", tmp_path / "new", 100)
    (tmp_path / "from" / "cat.ndjson").write_text('\n{"word":"cat"}\n')
    with pytest.raises(InputError, match=r'cat\.ndjson:2: expected "key_id"'):
        replicate(tmp_path / "from", tmp_path / "new", 20_000)
    assert not list(tmp_path.glob("*new*"))
