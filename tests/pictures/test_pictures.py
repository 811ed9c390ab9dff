"""Drawings as folders of PNG files."""

import csv
import errno
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError, OutputError, UsageError
from pipeline.pictures.from_shards import PictureOptions, Sample, write_drawings
from pipeline.pictures.names import safe_name
from pipeline.pictures.sets import PictureSet
from pipeline.rendering.render import RenderConfig, render
from pipeline.shards.read import STROKE_COLUMNS, open_split
from pipeline.shards.shuffle import SPLITS
from tests.pictures.bitmap_sets import files_of, some_bitmaps
from tests.pictures.bitmap_sets import write as write_bitmaps
from tests.shards.builds import build, record, records
from tests.shards.builds import write as write_lines
from tests.small import damaged_copy, in_process, sample_shards

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_shards(tmp_path_factory)


def write(shards: Path, to: Path, *, workers: int = 2, force: bool = False, **options: Any) -> tuple[PictureSet, bool]:
    return write_drawings(shards, to, PictureOptions(**options), workers=workers, force=force)


def index_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "index.csv").open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def keys_of(folder: Path) -> set[str]:
    return {row["key_id"] for row in index_of(folder)}


def pngs_of(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in files_of(folder).items() if name.endswith(".png")}


def pixels(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("config", [RenderConfig(24), RenderConfig(9, encoding="gray", framing="centred")])
def test_every_drawing_becomes_the_picture_that_the_renderer_draws_of_it(
    shards: Path, tmp_path: Path, config: RenderConfig
) -> None:
    made, is_new = write(shards, tmp_path / "out", render=config, classes=("cat", "sun"))
    assert is_new
    rows = {row["key_id"]: row for row in index_of(tmp_path / "out")}
    assert made.pictures == len(rows) == 120
    assert {row["file"] for row in rows.values()} == set(pngs_of(tmp_path / "out"))
    for split in SPLITS:
        drawings = open_split(shards, split).read_row_group(0, (*STROKE_COLUMNS, "key_id", "recognized"))
        for k, image in enumerate(render(drawings, config)):
            word = drawings.words[drawings.word[k]]
            row = rows.pop(str(drawings.key_id[k]), None)
            assert (row is not None) == (word in ("cat", "sun"))
            if row is not None:
                assert (row["split"], row["word"]) == (split, word)
                assert row["recognized"] == str(drawings.recognized[k])
                assert (pixels(tmp_path / "out" / row["file"]).reshape(image.shape) == image).all()
    assert rows == {}


def test_a_sample_hangs_on_key_ids_and_seed_and_a_larger_one_holds_it(shards: Path, tmp_path: Path) -> None:
    write(shards, tmp_path / "three", drawings_per_class=3, render=RenderConfig(8))
    write(shards, tmp_path / "five", drawings_per_class=5, render=RenderConfig(8))
    write(shards, tmp_path / "other", drawings_per_class=3, render=RenderConfig(8), seed=1)
    three, five, other = (keys_of(tmp_path / name) for name in ("three", "five", "other"))
    assert three < five
    assert three != other
    assert Counter(row["word"] for row in index_of(tmp_path / "five")) == dict.fromkeys(
        open_split(shards, "train").manifest.classes, 5
    )


def test_the_same_drawings_give_the_same_pictures_whatever_the_shards_order_and_the_threads(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in", cat=records("cat", range(90)), dog=records("dog", range(90, 120)))
    build(source, tmp_path / "a", num_shards=1)
    build(source, tmp_path / "b", num_shards=3, seed=7)
    write(tmp_path / "a", tmp_path / "one", drawings_per_class=8, workers=1)
    write(tmp_path / "b", tmp_path / "four", drawings_per_class=8, workers=4)
    assert pngs_of(tmp_path / "one") == pngs_of(tmp_path / "four")
    write(tmp_path / "a", tmp_path / "again", drawings_per_class=8, workers=3)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "again")


def test_drawings_that_share_a_key_id_are_all_there_and_each_has_a_file(tmp_path: Path) -> None:
    twins = b"".join(record(word, 5, [[[k, 9], [k, 7]]]) for word in ("cat", "dog") for k in range(4))
    build(write_lines(tmp_path / "in", cat=twins), tmp_path / "shards", splits="1,0,0")
    made, _ = write(tmp_path / "shards", tmp_path / "out")
    assert made.counts == {"train": (4, 4)}
    assert len(pngs_of(tmp_path / "out")) == 8
    assert keys_of(tmp_path / "out") == {str(5 << 21)}
    made, _ = write(tmp_path / "shards", tmp_path / "out", seed=1)
    assert made.counts == {"train": (4, 4)}


def test_drawings_that_share_a_key_id_have_the_same_names_in_any_shards_and_across_row_groups(
    tmp_path: Path,
) -> None:
    twins = b"".join(record("cat", 5, [[[0, 255], [28 * k, 255 - 28 * k]]]) for k in range(9))
    source = write_lines(tmp_path / "in", cat=twins + records("cat", range(10, 40)))
    build(source, tmp_path / "whole", splits="1,0,0", num_shards=1)
    build(source, tmp_path / "cut", splits="1,0,0", num_shards=2, seed=3, row_group_rows=4)
    for name in ("whole", "cut"):
        write(tmp_path / name, tmp_path / f"all-{name}", render=RenderConfig(8))
        write(tmp_path / name, tmp_path / f"some-{name}", render=RenderConfig(8), drawings_per_class=20)
    every = pngs_of(tmp_path / "all-whole")
    assert pngs_of(tmp_path / "all-cut") == every
    stem = f"train/cat/cat-{5 << 21:07d}"
    assert {f"{stem}.png", *(f"{stem}-{k:07d}.png" for k in range(1, 9))} <= set(every)
    assert len({every[name] for name in every if name.startswith(stem)}) == 9
    some = pngs_of(tmp_path / "some-whole")
    assert pngs_of(tmp_path / "some-cut") == some
    assert some.items() <= every.items()


def test_a_sample_is_the_smallest_hashes_of_each_label_and_holds_little_more_on_the_way() -> None:
    dice = np.random.default_rng(0)
    labels, hashes = dice.integers(0, 3, 5000), dice.integers(0, 2000, 5000).astype(np.uint64)
    sample, held = Sample(limit=10, labels=3), 0
    for start in range(0, 5000, 50):
        sample.add(*(column[start : start + 50] for column in (labels, hashes, np.arange(5000))))
        held = max(held, len(sample))
    assert held <= 4 * 10 * 3
    expected: list[int] = []
    for label in range(3):
        expected += sorted(np.flatnonzero(labels == label).tolist(), key=lambda k: (int(hashes[k]), k))[:10]
    assert sample.first()[2].tolist() == sorted(expected)


def test_one_split_is_taken_where_one_is_asked_for(shards: Path, tmp_path: Path) -> None:
    made, _ = write(shards, tmp_path / "out", split="test", render=RenderConfig(8))
    assert list(made.counts) == ["test"]
    assert made.pictures == open_split(shards, "test").manifest.rows("test")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".build", "pictures.json", "index.csv", "test"}


HOSTILE = ["../x", "a\0b", "CON", "café", "cafe\u0301", ".", "a\nb", "x" * 240]


def test_words_of_any_kind_become_folders_and_rows_of_a_sheet(tmp_path: Path) -> None:
    lines = b"".join(record(word, k, [[[0, 255], [k, 90]]]) for k, word in enumerate(HOSTILE))
    build(write_lines(tmp_path / "in", hostile=lines), tmp_path / "shards", splits="1,0,0")
    write(tmp_path / "shards", tmp_path / "below" / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["below", "in", "shards"]
    train = tmp_path / "below" / "out" / "train"
    assert sorted(entry.name for entry in train.iterdir()) == sorted(safe_name(word) for word in HOSTILE)
    assert sorted(row["word"] for row in index_of(tmp_path / "below" / "out")) == sorted(HOSTILE)
    ran = in_process("render", "sheet", "shards", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "sheet.png: 8 drawings of 8 classes\n")


def test_the_mark_tells_of_shards_settings_and_whose_drawings_these_are(shards: Path, tmp_path: Path) -> None:
    write(shards, tmp_path / "out", drawings_per_class=1, render=RenderConfig(16, framing="centred"))
    mark = json.loads((tmp_path / "out" / "pictures.json").read_text(encoding="utf-8"))
    assert (mark["format"], mark["synthetic"]) == ("sketchpipe-pictures", True)
    assert "synthetic doodles" in mark["attribution"]
    assert mark["sources"] == [{"name": "small-shards", "checksum": open_split(shards, "train").manifest.checksum}]
    assert mark["options"]["render"] == {"size": 16, "line_width": None, "encoding": "palette", "framing": "centred"}


def test_nothing_is_done_where_nothing_changed(shards: Path, tmp_path: Path) -> None:
    how = {"drawings_per_class": 2, "render": RenderConfig(8)}
    assert write(shards, tmp_path / "out", **how)[1]
    assert not write(shards, tmp_path / "out", **how)[1]
    assert write(shards, tmp_path / "out", classes=("sun", "cat"), **how)[0].classes == ("cat", "sun")
    assert not write(shards, tmp_path / "out", classes=("cat", "sun"), **how)[1]
    assert write(shards, tmp_path / "out", force=True, **how)[1]
    assert write(shards, tmp_path / "out", **how | {"render": RenderConfig(9)})[1]
    next((tmp_path / "out" / "train" / "cat").iterdir()).unlink()
    assert write(shards, tmp_path / "out", **how | {"render": RenderConfig(9)})[1]


def test_a_set_of_bitmaps_gives_way_as_a_whole_and_files_of_others_do_not(shards: Path, tmp_path: Path) -> None:
    (tmp_path / "numpy").mkdir()
    np.save(tmp_path / "numpy" / "cat.npy", some_bitmaps(9))
    write_bitmaps(tmp_path / "numpy", tmp_path / "out")
    write(shards, tmp_path / "out", split="test", render=RenderConfig(8))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".build", "pictures.json", "index.csv", "test"}
    write_bitmaps(tmp_path / "numpy", tmp_path / "out")
    assert not (tmp_path / "out" / "pictures.json").exists()
    (tmp_path / "out" / "train" / "cat" / "mine.png").write_text("mine")
    before = files_of(tmp_path / "out")
    with pytest.raises(OutputError, match=r"out: holds train/cat/mine\.png, which sketchpipe did not make"):
        write(shards, tmp_path / "out", force=True)
    assert files_of(tmp_path / "out") == before


KILLED = """
import os, signal, sys
from pathlib import Path
left = int(sys.argv[3])
def step(event, arguments):
    global left
    if event in ("os.rename", "os.mkdir", "open") and sys.argv[2] in str(arguments[0]):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
from pipeline.pictures.from_shards import PictureOptions, write_drawings
sys.addaudithook(step)
write_drawings(Path(sys.argv[1]), Path(sys.argv[2]), PictureOptions(seed=1, drawings_per_class=2))
"""


@pytest.mark.parametrize("step", [4, 14, 38])
def test_a_killed_process_leaves_a_set_that_the_next_one_completes(tmp_path: Path, step: int) -> None:
    build(write_lines(tmp_path / "in", cat=records("cat", range(40))), tmp_path / "shards")
    write(tmp_path / "shards", tmp_path / "out", drawings_per_class=9)
    old = files_of(tmp_path / "out")
    words = [sys.executable, "-c", KILLED, str(tmp_path / "shards"), str(tmp_path / "out"), str(step)]
    ended = subprocess.run(words, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    if step == 4:
        assert files_of(tmp_path / "out") == old
    write(tmp_path / "shards", tmp_path / "out", drawings_per_class=2, seed=1)
    write(tmp_path / "shards", tmp_path / "whole", drawings_per_class=2, seed=1)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_a_full_disk_leaves_the_old_set(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(shards, tmp_path / "out", drawings_per_class=1, render=RenderConfig(8))
    old = files_of(tmp_path / "out")

    def full(*_args: Any, **_options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "mkdir", full)
    with pytest.raises(OutputError, match=r"out: cannot be written \(No space left on device\); what was there"):
        write(shards, tmp_path / "out", drawings_per_class=2, render=RenderConfig(8))
    assert files_of(tmp_path / "out") == old


def test_options_that_make_no_sense_are_refused(shards: Path, tmp_path: Path) -> None:
    for options in (
        {"split": "dev"}, {"drawings_per_class": 0}, {"seed": -1}, {"render": RenderConfig(7)},
        {"render": RenderConfig(1025)},
    ):  # fmt: skip
        with pytest.raises(UsageError, match="expected"):
            PictureOptions(**options)
    with pytest.raises(UsageError, match="a class is named twice"):
        write(shards, tmp_path / "out", classes=("cat", "cat"))
    with pytest.raises(InputError, match='has no class "cta"; did you mean cat'):
        write(shards, tmp_path / "out", classes=("cta",))
    with pytest.raises(InputError, match='has no class "qqq"; it has apple, bear, bicycle, cat, eyeglasses, '):
        write(shards, tmp_path / "out", classes=("qqq",))
    assert not (tmp_path / "out").exists()


def test_the_command_ends_with_the_documented_codes(shards: Path, tmp_path: Path) -> None:
    def run(*words: object) -> tuple[int, str]:
        ran = in_process("render", "pictures", *map(str, words), cwd=tmp_path)
        assert ran.stdout == ""
        return ran.returncode, ran.stderr

    small = (shards, "--to", "out", "--drawings-per-class", 2, "--size", 8)
    code, said = run(*small)
    assert (code, said.splitlines()[0][:39]) == (0, "out: 20 pictures of 10 classes (train 1")
    assert "out: nothing to do; the pictures were made from these shards and options" in run(*small)[1]
    assert run(*small, "--size", 7) == (2, "sketchpipe: size 7: expected 8 to 1024 pixels\n")
    assert run(*small, "--encoding", "sepia")[0] == 2
    assert run(*small, "--workers", 0)[0] == 2
    assert run("nowhere", "--to", "out")[0] == 3
    code, said = run(damaged_copy(shards, tmp_path / "bad", "train-00000-of-00001.parquet"), "--to", "new")
    assert (code, "train-00000-of-00001.parquet: damaged" in said) == (4, True)
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    assert run(*small, "--to", "file")[0] == 6
