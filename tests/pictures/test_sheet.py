"""Contact sheets, and picture files wherever they are asked for."""

import errno
import os
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageFont

from pipeline.drawings import from_strokes
from pipeline.errors import OutputError, UsageError
from pipeline.pictures.labels import label_of
from pipeline.pictures.names import safe_name
from pipeline.pictures.sheet import MAX_SHEET_PIXELS, contact_sheet, sheet_rows
from pipeline.rendering.render import RenderConfig, render
from pipeline.shards.read import open_split
from pipeline.storage.outputs import write_output
from tests.pictures.bitmap_sets import files_of
from tests.small import damaged_copy, in_process, sample_shards


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_shards(tmp_path_factory)


def test_a_sheet_of_many_classes_is_about_square_and_one_of_few_has_one_column() -> None:
    strokes = [[[[0, 255], [0, 255]]]]
    few = contact_sheet([(f"class {k}", from_strokes(strokes * 3, ["x"] * 3)) for k in range(4)], RenderConfig(20))
    assert few.shape == (4 * 24 + 4, 120 + 3 * 24 + 4, 3)
    many = contact_sheet([(f"class {k}", from_strokes(strokes, ["x"])) for k in range(345)], RenderConfig(20))
    assert 0.8 < many.shape[0] / many.shape[1] < 1.25


def test_a_sheet_holds_the_renderer_s_images_at_any_size() -> None:
    drawings = from_strokes([[[[0, 255], [0, 255]]], [[[9, 9], [0, 99]]]], ["x"] * 2)
    for config in (RenderConfig(8), RenderConfig(33, encoding="gray")):
        sheet = contact_sheet([("a word that is far too long to be shown as a whole " * 3, drawings)], config)
        cell, images = config.size + 4, render(drawings, config)
        left = sheet.shape[1] - 2 * cell - 4
        for k, image in enumerate(images):
            found = sheet[4 : 4 + config.size, left + k * cell : left + k * cell + config.size]
            assert (found == image).all()


def test_a_sheet_too_large_for_anybody_is_refused_before_it_is_drawn() -> None:
    drawings = from_strokes([[[[0, 255], [0, 255]]]] * 50, ["x"] * 50)
    with pytest.raises(UsageError, match=r"a sheet of .* pixels is too large; give fewer columns"):
        contact_sheet([("x", drawings)] * (MAX_SHEET_PIXELS // (50 * 512 * 512) + 1), RenderConfig(512))


def test_a_sheet_s_rows_are_the_first_drawings_of_each_class(shards: Path) -> None:
    split = open_split(shards, "train")
    drawings = split.read_row_group(0)
    for label, (word, row) in zip((3, 1), sheet_rows(split, [3, 1], 5, RenderConfig(8)), strict=True):
        assert word == drawings.words[label]
        assert row.x.tolist() == drawings.take(np.flatnonzero(drawings.word == label)[:5]).x.tolist()


def test_a_sheet_too_large_is_refused_though_the_shards_are_damaged(shards: Path, tmp_path: Path) -> None:
    damaged = damaged_copy(shards, tmp_path / "bad", "train-00000-of-00001.parquet")
    ran = in_process("render", "sheet", str(damaged), "--size", "512", "--columns", "50", cwd=tmp_path)
    assert (ran.returncode, "is too large; give fewer columns" in ran.stderr) == (2, True)


@pytest.mark.parametrize("word", ["\u732b", "a\0b"])
def test_a_word_that_the_fonts_lack_letters_for_is_shown_as_its_file_name(word: str) -> None:
    drawings = from_strokes([[[[0, 255], [0, 255]]]], ["x"])
    shown = contact_sheet([(word, drawings)], RenderConfig(20))
    assert (shown == contact_sheet([(safe_name(word), drawings)], RenderConfig(20))).all()


@pytest.mark.parametrize("word", ["caf\u00e9", "\u017c\u00f3\u0142w", "\u043a\u043e\u0442", "\u03b3\u03ac\u03c4\u03b1"])
def test_letters_are_drawn_where_a_font_has_them_and_in_either_form_of_unicode(word: str) -> None:
    label = label_of(word, 12, 200)
    assert (label.text, type(label.font)) == (word, ImageFont.FreeTypeFont)
    assert label_of(unicodedata.normalize("NFD", word), 12, 200) == label
    assert label.font.getname()[0] == "DejaVu Sans"


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "sheet.png").write_bytes(b"old")
    (tmp_path / "sheet.png").symlink_to("kept/sheet.png")
    (tmp_path / "next.png").symlink_to("new/next.png")
    write_output(tmp_path / "sheet.png", b"picture")
    write_output(tmp_path / "next.png", b"another")
    assert (tmp_path / "sheet.png").is_symlink()
    assert (tmp_path / "kept" / "sheet.png").read_bytes() == b"picture"
    assert (tmp_path / "new" / "next.png").read_bytes() == b"another"
    assert len(list(tmp_path.rglob("*"))) == 6


def test_a_pipe_is_written_into_and_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.png").symlink_to("pipe")
    descriptor = os.open(tmp_path / "pipe", os.O_RDWR | os.O_NONBLOCK)  # both ends, so that nobody waits
    try:
        for path in (tmp_path / "pipe", tmp_path / "link.png"):
            write_output(path, b"picture")
            assert os.read(descriptor, 99) == b"picture"
    finally:
        os.close(descriptor)
    assert (tmp_path / "pipe").is_fifo()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_picture_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "sheet.png").write_bytes(b"old")
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutputError, match=r"sheet\.png: cannot be written \(No space left on device\)"):
        write_output(tmp_path / "sheet.png", b"picture")
    assert files_of(tmp_path) == {"sheet.png": b"old"}


def test_a_name_that_promises_another_format_is_refused(shards: Path, tmp_path: Path) -> None:
    either = ("replay", "x.png", "GIF or SVG", ".gif or .svg")
    for command, name, kind, suffix in (("sheet", "x.jpg", "PNG", ".png"), either):
        ran = in_process("render", command, str(shards), "--to", name, cwd=tmp_path)
        told = f"sketchpipe: {name}: the picture is a {kind} file; let its name end in {suffix}\n"
        assert (ran.returncode, ran.stderr) == (2, told)
    assert in_process("render", "sheet", str(shards), "--to", "X.PNG", "--size", "8", cwd=tmp_path).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["X.PNG"]
