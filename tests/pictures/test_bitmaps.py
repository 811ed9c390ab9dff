import pickle
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.cli.main import run as run_command
from pipeline.errors import InputError
from pipeline.pictures.npy import bitmap_splits, find_bitmaps, open_bitmaps, word_of_file
from pipeline.pictures.png import encode_png
from pipeline.shards.shuffle import parse_splits
from tests.pictures.bitmap_sets import index_of, pixels, some_bitmaps, write

pytestmark = pytest.mark.long

HALVES = parse_splits("0.5,0.25,0.25")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "numpy"
    folder.mkdir()
    np.save(folder / "cat.npy", some_bitmaps(60, 1))
    np.save(folder / "full_numpy_bitmap_hot%20dog.npy", some_bitmaps(50, 2))
    return folder


def test_a_bitmap_keeps_its_split_when_others_come_and_twins_share_one() -> None:
    bitmaps = some_bitmaps(400).reshape(-1, 28, 28)
    splits = bitmap_splits(bitmaps, HALVES, 0)
    assert (bitmap_splits(bitmaps[100:], HALVES, 0) == splits[100:]).all()
    assert (bitmap_splits(np.concatenate([bitmaps, bitmaps]), HALVES, 0) == np.tile(splits, 2)).all()
    counts = np.bincount(splits, minlength=3)
    assert abs(counts - [200, 100, 100]).max() < 50  # five standard deviations
    assert (bitmap_splits(bitmaps, HALVES, 1) != splits).any()


@pytest.mark.parametrize("shape", [(28, 28), (1, 1), (3, 17), (64, 28)])
def test_a_png_file_holds_just_these_pixels(tmp_path: Path, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    (tmp_path / "a.png").write_bytes(encode_png(image))
    assert (pixels(tmp_path / "a.png") == image).all()


def test_a_file_s_name_declares_its_class() -> None:
    names = {"cat.npy": "cat", "hot_dog.npy": "hot dog", "full_numpy_bitmap_The Eiffel Tower.npy": "The Eiffel Tower"}
    names |= {"my_things.npy": "my_things", "full_numpy_bitmap_a%2Fb.npy": "a/b"}
    assert {name: word_of_file(name) for name in names} == names


def npy(array: Any) -> bytes:
    import io

    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


WHOLE = npy(some_bitmaps(3))
BAD = {
    "empty": (b"", "is not a complete .npy file"),
    "text": (b"number,word\n1,cat\n", "is not a complete .npy file"),
    "zip": (b"PK\x03\x04" + bytes(100), "is not a complete .npy file"),
    "pickle": (pickle.dumps([1, 2]), "is not a complete .npy file"),
    "pickled objects": (npy(np.array([{}, 1], object)), r"expected \(N, 784\) uint8, .*, found \(2,\) object"),
    "cut in the data": (WHOLE[:-1], r"is not a complete .npy file \(it ends after 2,479 bytes\)"),
    "bytes behind": (WHOLE + b"xy", "has 2 more bytes after its 3 bitmaps; download it again"),
    "more rows than memory": (WHOLE.replace(b"(3, 784)", b"(%d, 784)" % 2**62), "is not a complete .npy file"),
    "fewer rows than none": (WHOLE.replace(b"(3, 784)", b"(-3, 784)"), "is not a complete .npy file"),
    "a format of its own": (WHOLE.replace(b"NUMPY\x01", b"NUMPY\x03"), "is not a complete .npy file"),
    "cut in the header": (WHOLE[:50], "is not a complete .npy file"),
    "floats": (npy(np.zeros((3, 784))), r"expected \(N, 784\) uint8, .*, found \(3, 784\) float64"),
    "signed": (npy(np.zeros((3, 784), np.int8)), r"found \(3, 784\) int8"),
    "square": (npy(np.zeros((3, 28, 28), np.uint8)), r"found \(3, 28, 28\) uint8"),
    "flat": (npy(np.zeros(784, np.uint8)), r"found \(784,\) uint8"),
    "one number": (npy(np.uint8(3)), r"found \(\) uint8"),
    "narrow": (npy(np.zeros((3, 783), np.uint8)), r"found \(3, 783\) uint8"),
    "no rows": (npy(np.zeros((0, 784), np.uint8)), "holds no bitmaps"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_file_of_bitmaps_is_an_error_with_its_name(tmp_path: Path, name: str) -> None:
    content, message = BAD[name]
    path = tmp_path / "cat.npy"
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(str(path)) + ": .*" + message):
        open_bitmaps(path)


def test_a_file_that_shrinks_on_the_way_is_an_error(tmp_path: Path) -> None:
    np.save(tmp_path / "cat.npy", some_bitmaps(9))
    file = open_bitmaps(tmp_path / "cat.npy")
    np.save(tmp_path / "cat.npy", some_bitmaps(4))
    assert len(file.read(0, 4)) == 4
    with pytest.raises(InputError, match=r"cat\.npy: changed while it was read; run the command again"):
        file.read(0, 9)


def test_a_header_damaged_anywhere_is_an_error_or_another_header(tmp_path: Path) -> None:
    path = tmp_path / "cat.npy"
    for place in range(WHOLE.index(b"\n") + 1):
        for value in (WHOLE[place] ^ 1, WHOLE[place] ^ 0x80, 0, ord("("), ord("9")):
            damaged = bytearray(WHOLE)
            damaged[place] = value
            path.write_bytes(damaged)
            told = None
            try:
                assert open_bitmaps(path).rows <= 3
            except InputError as error:
                told = str(error)
            assert told is None or (told.startswith(f"{path}: ") and "\n" not in told)


def test_columns_first_is_read_too(tmp_path: Path) -> None:
    np.save(tmp_path / "cat.npy", np.asfortranarray(some_bitmaps(9)))
    read = open_bitmaps(tmp_path / "cat.npy").read(2, 5)
    assert (read.reshape(3, 784) == some_bitmaps(9)[2:5]).all()
    assert read.flags.c_contiguous


def test_sources_are_found_in_files_folders_and_globs_once(source: Path, tmp_path: Path) -> None:
    (source / ".hidden.npy").write_bytes(b"x")
    found = find_bitmaps([str(source), str(source / "cat.npy"), str(source / "*.npy")])
    assert [file.name for file in found] == ["numpy/cat.npy", "numpy/full_numpy_bitmap_hot%20dog.npy"]
    assert [(file.word, file.rows) for file in found] == [("cat", 60), ("hot dog", 50)]
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        find_bitmaps(["nowhere"])
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=r"none: holds no \.npy file"):
        find_bitmaps([str(tmp_path / "none")])


def test_google_s_bitmaps_become_pictures(quickdraw: Path, tmp_path: Path) -> None:
    made, _ = write(quickdraw / "bitmaps", tmp_path / "out", drawings_per_class=40)
    assert made.pictures == 400
    assert len(made.classes) == 10
    cats = np.load(quickdraw / "bitmaps" / "cat.npy", mmap_mode="r")
    for row in index_of(tmp_path / "out"):
        if row["class"] == "cat":
            assert (pixels(tmp_path / "out" / row["file"]).ravel() == cats[int(row["row"])]).all()


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object) -> tuple[int, str]:
    """The command's exit code and the last line it says."""
    monkeypatch.setattr(sys, "argv", ["sketchpipe", "render", "bitmaps", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        run_command()
    out, err = capsys.readouterr()
    assert out == ""
    return int(ended.value.code or 0), err.strip().splitlines()[-1]


def test_the_command_ends_with_the_documented_codes(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, last = run(capsys, monkeypatch, "numpy", "--to", "out", "--classes", "cat,hot dog")
    assert (code, last[:38]) == (0, "out: 110 pictures of 2 classes (train ")
    assert run(capsys, monkeypatch, "numpy", "--to", "out", "--classes", "cat,hot dog") == (0, last)
    assert run(capsys, monkeypatch, "numpy/cat.npy", "--to", "one", "--drawings-per-class", 1, "--splits", "1,0,0") == (
        0,
        "one: 1 picture of 1 class (train 1, validation 0, test 0)",
    )
    assert run(capsys, monkeypatch, "numpy")[0] == 2
    assert run(capsys, monkeypatch, "numpy", "--to", "out", "--workers", 0)[0] == 2
    assert run(capsys, monkeypatch, "numpy", "--to", "out", "--scaling", "x")[0] == 2
    assert run(capsys, monkeypatch, "nowhere", "--to", "out")[0] == 3
    (source / "dog.npy").write_bytes(WHOLE[:-1])
    code, last = run(capsys, monkeypatch, "numpy", "--to", "out")
    assert (code, "dog.npy: is not a complete .npy file" in last) == (3, True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("")
    code, last = run(capsys, monkeypatch, "numpy/cat.npy", "--to", "mine")
    assert (code, "holds letter.txt" in last) == (6, True)
    (tmp_path / "out" / ".build" / "pictures-commit.json").write_text("7")
    code, last = run(capsys, monkeypatch, "numpy/cat.npy", "--to", "out")
    assert (code, "out/.build/pictures-commit.json: damaged; remove out and make" in last) == (4, True)
    (tmp_path / "file").write_text("")
    code, last = run(capsys, monkeypatch, "numpy/cat.npy", "--to", "file")
    assert (code, last) == (6, "sketchpipe: file: is a file, not a folder; choose another folder with --to")
