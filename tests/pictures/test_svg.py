"""A drawing as an SVG file: its strokes point by point, whatever its word is."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from pipeline.drawings import from_strokes
from pipeline.pictures.replay import find_drawing
from pipeline.pictures.svg import encode_svg
from tests.small import in_process, sample_shards

CROSS = [[[20, 200], [128, 128]], [[110, 110, 0], [30, 230, 255]], [[40], [41]]]
SVG = "{http://www.w3.org/2000/svg}"


def strokes_of(svg: bytes) -> list[list[list[float]]]:
    """The x and the y of each path."""
    paths = [path.get("d") or "" for path in ET.fromstring(svg).iter(f"{SVG}path")]
    points = [[tuple(map(float, point.split())) for point in path[1:].split(" L")] for path in paths]
    return [[list(axis) for axis in zip(*stroke, strict=True)] for stroke in points]


def test_each_stroke_is_a_path_and_a_dot_has_two_points_so_that_it_is_seen() -> None:
    svg = encode_svg(from_strokes([CROSS], ["cross"]), 300)
    assert strokes_of(svg) == [*CROSS[:2], [[40, 40], [41, 41]]]
    root = ET.fromstring(svg)
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == ("300", "300", "-4 -4 264 264")


@pytest.mark.parametrize("word", ["<script>&amp;", "\u732b", "a\x1b]0;b\n\x00c", "\udcff"])
def test_any_word_is_a_title_of_valid_xml(word: str) -> None:
    title = ET.fromstring(encode_svg(from_strokes([CROSS], [word]), 64)).findtext(f"{SVG}title")
    assert title == "".join(letter if letter.isprintable() else "\ufffd" for letter in word)


def test_replay_writes_an_svg_if_the_name_ends_so(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    shards = str(sample_shards(tmp_path_factory))
    ran = in_process("render", "replay", shards, "--random", "--seed", "7", "--to", "Drawing.SVG", cwd=tmp_path)
    assert (ran.returncode, ran.stderr[:14]) == (0, 'Drawing.SVG: "')
    svg = (tmp_path / "Drawing.SVG").read_bytes()
    drawing, _ = find_drawing(Path(shards), int(ran.stderr.split("key_id ")[1].split(",")[0]))
    assert svg == encode_svg(drawing, 256)
    assert sum(len(x) for x, _ in strokes_of(svg)) == len(drawing.x)
    ran = in_process("render", "replay", shards, "--random", "--to", "x.png", cwd=tmp_path)
    assert ran.returncode == 2
    assert "x.png: the picture is a GIF or SVG file; let its name end in .gif or .svg" in ran.stderr
