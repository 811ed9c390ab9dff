"""What `sketchpipe bench` measures, says and leaves behind."""

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
from builds import build
from small import command, in_process, sample_shards

from pipeline.replicas import lines_of, write_text
from pipeline.shards.read import open_split
from pipeline.speed import ALL_BYTES, ALL_DRAWINGS

pytestmark = pytest.mark.long

SECONDS = "0.05"
STAGES = ["scan", "build", "read", "render", "feed", "feed augmented"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_shards(tmp_path_factory)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made in this test."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path / "tmp"


def test_the_json_holds_a_rate_of_every_stage_and_hours_that_follow_from_them(temporary: Path, tmp_path: Path) -> None:
    ran = in_process("bench", "--seconds", SECONDS, "--json", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    speed: dict[str, Any] = json.loads(ran.stdout)
    cores = os.cpu_count() or 1
    assert speed["cores"] == cores
    assert list(dict.fromkeys(rate["stage"] for rate in speed["rates"])) == STAGES
    assert {rate["threads"] for rate in speed["rates"]} == {1, cores}
    best = {rate["stage"]: rate for rate in speed["rates"]}
    assert all(rate["drawings_per_second"] > 0 for rate in speed["rates"])
    for stage, rate in best.items():
        assert (rate["bytes_per_second"] is not None) == (stage in ("scan", "build"))
    per_second = best["build"]["drawings_per_second"] * speed["bytes_per_line"]
    assert best["build"]["bytes_per_second"] == pytest.approx(per_second)
    assert speed["build_hours"] == pytest.approx(ALL_BYTES / per_second / 3600)
    each = sum(1 / best[stage]["drawings_per_second"] for stage in ("read", "feed augmented"))
    assert speed["epoch_hours"] == pytest.approx(ALL_DRAWINGS * each / 3600)
    assert (speed["synthetic"], speed["image_size"]) == (True, 64)
    assert 40 < speed["points_per_drawing"] < 60
    assert set(speed["versions"]) == {"python", "sketchpipe", "numpy", "numba", "pyarrow"}
    assert speed["peak_memory_bytes"] > 10**7
    assert list(temporary.iterdir()) == []


def test_the_table_says_whose_drawings_these_are_and_leaves_the_shards_alone(
    shards: Path, temporary: Path, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in shards.rglob("*")}
    ran = in_process("bench", "--shards", str(shards), "--seconds", SECONDS, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert f"drawings of {shards} (synthetic), " in ran.stdout
    rows = ("scan ndjson", "build shards", "read shards, rows permuted", "render", "feed: read and render")
    for label in (*rows, "feed, augmented"):
        assert re.search(rf"^{label} .*\d", ran.stdout, re.MULTILINE)
    assert "Google's 50 million drawings (23 GB): shards in " in ran.stdout
    assert {path: path.stat().st_mtime_ns for path in shards.rglob("*")} == before
    assert list(temporary.iterdir()) == []


def test_an_interrupted_bench_leaves_nothing_behind(shards: Path, temporary: Path, tmp_path: Path) -> None:
    words = command("bench", "--seconds", "60", "--shards", str(shards))
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as ran:
        while not list(temporary.glob("sketchpipe-bench-*/drawings.ndjson")):
            assert ran.poll() is None
        ran.send_signal(signal.SIGINT)
        assert ran.stderr is not None
        assert (ran.stderr.read(), ran.wait()) == ("sketchpipe: interrupted\n", 130)
    assert list(temporary.iterdir()) == []


def test_what_cannot_be_measured_is_an_error_in_one_line(temporary: Path, tmp_path: Path) -> None:
    for words, code, message in (
        (("--seconds", "0"), 2, "seconds 0: expected more than 0, at most 600"),
        (("--seconds", "nan"), 2, "seconds nan: expected more than 0, at most 600"),
        (("--shards", "nowhere"), 3, "nowhere: no such folder; make shards with"),
        (("--shards", "tmp"), 4, r"no shards here \(manifest"),
    ):
        ran = in_process("bench", *words, cwd=tmp_path)
        assert (ran.returncode, ran.stdout) == (code, "")
        assert re.match(f"sketchpipe: .*{message}.*\n$", ran.stderr)
    assert list(temporary.iterdir()) == []


def test_repeated_lines_are_drawings_that_a_build_takes_all(shards: Path, tmp_path: Path) -> None:
    split = open_split(shards, "train")
    lines = lines_of(split)
    text = write_text(tmp_path / "drawings.ndjson", lines, 3 * sum(map(len, lines)))
    assert text.bytes == (tmp_path / "drawings.ndjson").stat().st_size
    assert text.drawings >= 2 * len(lines)
    made = build(text.source.path, tmp_path / "out")
    assert (made.sources[0].written, made.same_key) == (text.drawings, 0)
    keys = [json.loads(line)["key_id"] for line in text.source.path.read_bytes().splitlines()]
    assert {len(key) for key in keys} == {16}
    strokes = json.loads(text.source.path.read_bytes().splitlines()[0])["drawing"]
    assert strokes == split.read_row_group(0).take(np.array([0])).strokes(0)
