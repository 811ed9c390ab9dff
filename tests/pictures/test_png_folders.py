import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from pipeline.errors import InputError, OutputError, UsageError
from pipeline.pictures.from_bitmaps import BitmapOptions, write_folders
from pipeline.pictures.names import safe_name
from pipeline.pictures.png import resized
from tests.pictures.bitmap_sets import files_of, index_of, pixels, some_bitmaps, write

pytestmark = pytest.mark.long


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "numpy"
    folder.mkdir()
    np.save(folder / "cat.npy", some_bitmaps(60, 1))
    np.save(folder / "full_numpy_bitmap_hot%20dog.npy", some_bitmaps(50, 2))
    return folder


def test_every_bitmap_becomes_one_picture_that_the_index_leads_to(source: Path, tmp_path: Path) -> None:
    made, is_new = write(source, tmp_path / "out")
    assert is_new
    assert made.pictures == 110
    rows = index_of(tmp_path / "out")
    assert {row["file"] for row in rows} == {name for name in files_of(tmp_path / "out") if name.endswith(".png")}
    assert sorted((row["source"], int(row["row"])) for row in rows) == sorted(
        [("numpy/cat.npy", k) for k in range(60)] + [("numpy/full_numpy_bitmap_hot%20dog.npy", k) for k in range(50)]
    )
    arrays = {"cat": some_bitmaps(60, 1), "hot dog": some_bitmaps(50, 2)}
    for row in rows:
        split, name, picture = row["file"].split("/")
        assert (split, name, picture) == (row["split"], row["class"], f"{row['class']}-{int(row['row']):07d}.png")
        assert (pixels(tmp_path / "out" / row["file"]).ravel() == arrays[row["class"]][int(row["row"])]).all()


def test_the_same_bitmaps_give_the_same_files_whatever_the_threads(source: Path, tmp_path: Path) -> None:
    write(source, tmp_path / "one", workers=1, seed=3)
    write(source, tmp_path / "four", workers=4, seed=3)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "four")
    before = files_of(tmp_path / "one")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*.png")}
    assert not write(source, tmp_path / "one", seed=3)[1]
    assert write(source, tmp_path / "one", seed=3, force=True)[1]
    assert files_of(tmp_path / "one") == before
    assert {path: path.stat().st_mtime_ns for path in times} != times


def overwrite(file: Path) -> None:
    """Change a bitmap, and put the time back."""
    before = file.stat()
    with file.open("r+b") as opened:
        opened.seek(-5, os.SEEK_END)
        opened.write(b"other")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_bitmaps_that_were_overwritten_are_written_again_though_their_time_was_put_back(
    source: Path, tmp_path: Path
) -> None:
    write(source, tmp_path / "out")
    overwrite(source / "cat.npy")
    assert write(source, tmp_path / "out")[1]
    assert not write(source, tmp_path / "out")[1]


def test_bitmaps_that_change_while_they_are_read_replace_nothing(source: Path, tmp_path: Path) -> None:
    write(source, tmp_path / "out", drawings_per_class=3)
    before = files_of(tmp_path / "out")

    def progress(_step: str, done: float, _total: float | None = None, /, **_how: str) -> None:
        if done:
            overwrite(source / "cat.npy")

    with pytest.raises(InputError, match=r"cat\.npy: was changed while it was being read"):
        write_folders([str(source)], tmp_path / "out", BitmapOptions(), progress=progress)
    assert files_of(tmp_path / "out") == before


def test_another_seed_divides_otherwise_and_the_whole_folder_is_replaced(source: Path, tmp_path: Path) -> None:
    write(source, tmp_path / "out")
    before = files_of(tmp_path / "out")
    assert write(source, tmp_path / "out", seed=1)[1]
    after = files_of(tmp_path / "out")
    assert after != before
    assert len(after) == len(before)
    write(source, tmp_path / "out", splits="1,0,0", classes=("cat",))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".build", "bitmaps.json", "index.csv", "train"}
    assert sorted(path.name for path in (tmp_path / "out" / ".build").iterdir()) == ["lock", "picture-sources.json"]


def test_classes_and_counts_are_chosen_by_the_options(source: Path, tmp_path: Path) -> None:
    made, _ = write(source, tmp_path / "out", classes=("hot dog",), drawings_per_class=7)
    assert (made.classes, made.pictures) == (("hot dog",), 7)
    assert [int(row["row"]) for row in index_of(tmp_path / "out")] == list(range(7))
    with pytest.raises(InputError, match='class "hotdog": no file of it in the sources; did you mean hot dog'):
        write(source, tmp_path / "out", classes=("hotdog",))
    for options in ({"drawings_per_class": 0}, {"seed": -1}, {"size": 0}, {"scaling": "big"}, {"splits": "1"}):
        with pytest.raises(UsageError, match="expected"):
            BitmapOptions(**options)


def test_two_files_of_one_class_are_numbered_on(source: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    np.save(more / "cat.npy", some_bitmaps(5, 9))
    made, _ = write_folders([str(more), str(source)], tmp_path / "out", BitmapOptions(drawings_per_class=62))
    cats = [row for row in index_of(tmp_path / "out") if row["class"] == "cat"]
    assert [row["source"] for row in cats] == ["more/cat.npy"] * 5 + ["numpy/cat.npy"] * 57
    assert [int(Path(row["file"]).stem[-7:]) for row in cats] == list(range(62))
    assert [source["taken"] for source in made.sources] == [5, 57, 50]


def test_sizes_scalings_and_inversion_are_what_they_say(source: Path, tmp_path: Path) -> None:
    bitmaps = some_bitmaps(3).reshape(-1, 28, 28)
    assert (resized(bitmaps, 56, "nearest") == bitmaps.repeat(2, 1).repeat(2, 2)).all()
    smooth = resized(np.full((1, 28, 28), 77, np.uint8), 64, "bicubic")
    assert smooth.shape == (1, 64, 64)
    assert (smooth == 77).all()
    write(source, tmp_path / "out", size=56, invert=True)
    row = index_of(tmp_path / "out")[5]
    assert row["source"] == "numpy/cat.npy"
    expected = 255 - some_bitmaps(60, 1)[5].reshape(28, 28).repeat(2, 0).repeat(2, 1)
    assert (pixels(tmp_path / "out" / row["file"]) == expected).all()


HOSTILE = [
    "../x", "/etc/passwd", "a\0b", "é" * 40, "x" * 240, "CON", "😀", "café", "cafe\u0301", "-rf", ".", "a\nb", "100%",
]  # fmt: skip


def test_hostile_class_names_stay_within_the_target_and_come_back(tmp_path: Path) -> None:
    folder = tmp_path / "numpy"
    folder.mkdir()
    for k, word in enumerate(HOSTILE):
        quoted = quote(word, safe="").replace(".", "%2E")
        np.save(folder / f"{quoted}.npy", some_bitmaps(2, k))
    made, _ = write(folder, tmp_path / "target" / "out", splits="1,0,0")
    assert list(made.classes) == sorted(HOSTILE)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["numpy", "target"]
    train = tmp_path / "target" / "out" / "train"
    assert sorted(entry.name for entry in train.iterdir()) == sorted(safe_name(word) for word in HOSTILE)
    found = {row["class"].removeprefix("'") for row in index_of(tmp_path / "target" / "out")}
    assert sorted(found) == sorted(HOSTILE)


FOREIGN = ["mine.txt", "train/mine.txt", "train/cat/mine.png", "train/dog/cat-0000001.png", "validation/.x"]


@pytest.mark.parametrize("name", FOREIGN)
def test_a_folder_with_files_of_others_is_refused_and_left_alone(source: Path, tmp_path: Path, name: str) -> None:
    to = tmp_path / "out"
    (to / name).parent.mkdir(parents=True, exist_ok=True)
    (to / name).write_text("mine")
    before = files_of(to)
    first = name.split("/")[0]
    with pytest.raises(OutputError, match=f"out: holds {first}, which sketchpipe did not make; choose"):
        write(source, to, force=True)
    assert files_of(to) == before

    shutil.rmtree(to)
    write(source, to)
    (to / name).parent.mkdir(exist_ok=True)
    (to / name).write_text("mine")
    before = files_of(to)
    with pytest.raises(OutputError, match=f"out: holds {re.escape(name)}, which sketchpipe did not make"):
        write(source, to, seed=1)
    assert files_of(to) == before


def test_a_folder_of_pictures_without_our_mark_is_nobody_s_to_replace(source: Path, tmp_path: Path) -> None:
    write(source, tmp_path / "out")
    (tmp_path / "out" / "bitmaps.json").write_text('{"format": "other"}')
    before = files_of(tmp_path / "out")
    with pytest.raises(OutputError, match=r"out: holds bitmaps\.json and \d more, which sketchpipe did not make"):
        write(source, tmp_path / "out", seed=1)
    assert files_of(tmp_path / "out") == before


def test_a_set_that_lost_a_picture_or_was_changed_is_written_anew(source: Path, tmp_path: Path) -> None:
    to = tmp_path / "out"
    write(source, to)
    whole = files_of(to)
    next((to / "train" / "cat").iterdir()).unlink()
    assert write(source, to)[1]
    for name in ("index.csv", "bitmaps.json"):
        with (to / name).open("a") as text:
            text.write("\n")
        assert write(source, to)[1]
        assert files_of(to) == whole
    np.save(source / "cat.npy", some_bitmaps(61, 1))
    assert write(source, to)[1]


def test_an_error_on_the_way_leaves_the_old_set(source: Path, tmp_path: Path) -> None:
    to = tmp_path / "out"
    write(source, to)
    before = files_of(to)
    np.save(source / "dog.npy", some_bitmaps(3000))
    os.truncate(source / "dog.npy", 3000 * 784)
    with pytest.raises(InputError, match=r"dog\.npy: is not a complete"):
        write(source, to)
    assert files_of(to) == before
    with pytest.raises(InputError, match=r"dog\.npy: is not a complete"):
        write(source, tmp_path / "new")
    assert not (tmp_path / "new").exists()


MEASURED = """
import sys, tracemalloc
from pathlib import Path
import numpy as np
from pipeline.pictures.from_bitmaps import BitmapOptions, write_folders
source, to = map(Path, sys.argv[1:])
for rows in (10, 3000, 9000):  # the first imports what is needed
    np.save(source / "cat.npy", np.zeros((rows, 784), np.uint8))
    tracemalloc.start()
    write_folders([str(source)], to, BitmapOptions(), workers=1)
    print(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "numpy").mkdir()
    # In a process of its own: what other tests' threads and collected garbage allocate would be counted too.
    words = [sys.executable, "-c", MEASURED, str(tmp_path / "numpy"), str(tmp_path / "out")]
    _, small, large = map(int, subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())
    assert large < 1.1 * small


def test_the_mark_says_whose_data_it_is(source: Path, tmp_path: Path) -> None:
    write(source, tmp_path / "out")
    mark = json.loads((tmp_path / "out" / "bitmaps.json").read_text(encoding="utf-8"))
    assert (mark["format"], mark["format_version"]) == ("sketchpipe-bitmaps", 1)
    assert "CC BY 4.0" in mark["attribution"]
    assert sum(map(sum, mark["counts"].values())) == 110
