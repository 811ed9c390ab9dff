"""Builds from Kaggle's csv, JSON arrays and sketch-rnn's npz, killed and repaired too: the shards are ndjson's."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.shards.estimate import estimate_build
from pipeline.shards.manifest import read_manifest
from pipeline.shards.options import BuildOptions
from pipeline.shards.repair import repair_folder
from pipeline.sources.files import find_sources
from tests.shards.builds import build, files_of, random_drawings, rows_of, write
from tests.shards.test_resume import build_until
from tests.small import in_process
from tests.sources.other_kinds import KAGGLE, LINES, kaggle_csv, sketch_rnn, stroke_3


def shards_of(folder: Path) -> dict[str, bytes]:
    """The shards of a folder, without its manifest, which names the sources."""
    return {name: content for name, content in files_of(folder).items() if name.endswith(".parquet")}


def drawings(seed: int = 0, count: int = 300) -> list[dict[str, Any]]:
    """Lines of drawings with key_ids."""
    lines = [json.loads(line) for line in random_drawings("cat", count, seed).splitlines()]
    return [{**line, "timestamp": f"2017-03-08 21:{k // 60:02}:{k % 60:02} UTC"} for k, line in enumerate(lines)]


def write_forms(folder: Path, lines: list[dict[str, Any]]) -> dict[str, Path]:
    """The same drawings in each form."""
    folder.mkdir(exist_ok=True)
    forms = {
        "cat.csv": kaggle_csv(lines, (*KAGGLE, "pad")),
        "cat.csv.gz": gzip.compress(kaggle_csv(lines, (*KAGGLE, "pad"))),
        "cat.json": json.dumps(lines).encode(),
        "pretty.json": json.dumps({"drawings": lines}, indent=1).encode(),
    }
    for name, content in forms.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in forms}


def test_the_shards_are_those_of_ndjson(tmp_path: Path) -> None:
    lines = drawings()
    build(write(tmp_path / "in", cat="".join(json.dumps(line) + "\n" for line in lines).encode()), tmp_path / "ndjson")
    for name, path in write_forms(tmp_path / "forms", lines).items():
        build(path, tmp_path / name, chunk_bytes=1 << 20)
        assert shards_of(tmp_path / name) == shards_of(tmp_path / "ndjson")
        (count,) = read_manifest(tmp_path / name).sources
        assert (count.read, count.rejected) == (300, 0)


def test_a_file_of_sketch_rnn_s_is_a_class_split_by_hash(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    some = [stroke_3([chance.integers(0, 256, (2, 9))]) for _ in range(300)]
    path = sketch_rnn(tmp_path / "sketchrnn%2Fhot dog.full.npz", train=some[:200], valid=some[200:250], test=some[250:])
    manifest = build(path, tmp_path / "out")
    assert list(manifest.classes) == ["hot dog"]
    assert len(rows_of(tmp_path / "out")) == 300
    assert all(rows_of(tmp_path / "out", split) for split in ("train", "validation", "test"))
    estimate = estimate_build(find_sources([str(path)]), BuildOptions())
    assert 200 < estimate.drawings < 400


@pytest.mark.long
@pytest.mark.parametrize("form", ["cat.csv", "pretty.json", "cat.npz"])
def test_a_build_that_dies_again_and_again_ends_with_the_same_bytes(tmp_path: Path, form: str) -> None:
    lines = drawings(count=400)
    folder = tmp_path / "in"
    forms = write_forms(tmp_path / "forms", lines)
    folder.mkdir()
    if form == "cat.npz":
        sketch_rnn(folder / form, train=[stroke_3(line["drawing"]) for line in lines])
    else:
        (folder / forms[form].name.replace(".json", ".ndjson")).write_bytes(forms[form].read_bytes())
    out, runs, died = tmp_path / "out", 0, True
    while died:
        _, died = build_until(1, folder, out)
        runs += 1
    assert runs > 4
    build(folder, tmp_path / "whole", num_shards=4, seed=3)
    assert files_of(out) == files_of(tmp_path / "whole")
    victim = next(iter(sorted(out.glob("train-*"))))
    victim.write_bytes(b"damaged")
    repair_folder(out)
    assert files_of(out) == files_of(tmp_path / "whole")


def test_the_commands_take_and_tell_them(tmp_path: Path) -> None:
    sketch_rnn(tmp_path / "cat.npz", train=[stroke_3([([k, 9], [k, 9])]) for k in range(50)])
    (tmp_path / "dog.csv").write_bytes(kaggle_csv(LINES))
    said = "sketch-rnn's train, valid and test are read together; the splits of the shards are drawn by hash\n"
    for more in ((), ("--dry-run",)):
        ran = in_process("shards", "cat.npz", "dog.csv", "--to", f"out{len(more)}", *more, cwd=tmp_path)
        assert (ran.returncode, ran.stderr.count(said)) == (0, 1)
    (tmp_path / "dog.csv").write_bytes(kaggle_csv(LINES, ("key_id", "countrycode", "drawing")))
    ran = in_process("shards", "dog.csv", "--to", "out2", cwd=tmp_path)
    assert ran.returncode == 3
    assert 'dog.csv:2: "word" is missing' in ran.stderr
    (tmp_path / "dog.csv").write_bytes("word".encode("utf-16"))
    for more in ([], ["--dry-run"]):
        ran = in_process("shards", "dog.csv", "--to", "out3", *more, cwd=tmp_path)
        assert ran.returncode == 3
        assert ran.stderr.splitlines()[-1].endswith(
            "dog.csv: text in UTF-16; convert it to UTF-8: iconv -f UTF-16 -t UTF-8 FILE > NEW.ndjson"
        )
