"""Pictures of every mode and format, and files that are none."""

import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.tracing.raster import MOST_PIXELS, WORKING_SIZE, read_raster
from pipeline.tracing.trace import trace
from tests.tracing.pictures import encoded, ends, lined

LINE = lined([(40, 40), (160, 120)])
EXPECTED = [(40, 40), (160, 120)]


def strokes_of(content: bytes) -> list[list[tuple[int, int]]]:
    """The ends of the strokes of a picture, in pixels of `LINE`."""
    levels = read_raster(content, "line.png")
    return [ends(stroke * LINE.width / levels.shape[1]) for stroke in trace(levels, "line.png").strokes]


def cmyk() -> Image.Image:
    return LINE.convert("RGB").convert("CMYK")


def sixteen_bits() -> Image.Image:
    return Image.fromarray(np.asarray(LINE).astype(np.uint16) * 257)


def transparent() -> Image.Image:
    image = Image.new("RGBA", LINE.size, (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), mask=LINE.point(lambda level: 255 - level))
    return image


def transparent_palette() -> Image.Image:
    image = LINE.point(lambda level: level > 127 and 1).convert("P")
    image.putpalette([0, 0, 0, 10, 10, 10])
    image.info["transparency"] = 1
    return image


@pytest.mark.parametrize(
    ("image", "kind", "options"),
    [
        (LINE, "PNG", {}),
        (LINE.convert("1"), "PNG", {}),
        (LINE.convert("RGB"), "PNG", {}),
        (LINE.convert("LA"), "PNG", {}),
        (LINE.convert("RGB").quantize(8), "PNG", {}),
        (transparent(), "PNG", {}),
        (transparent_palette(), "PNG", {"transparency": 1}),
        (sixteen_bits(), "PNG", {}),
        (LINE, "JPEG", {}),
        (LINE.convert("RGB"), "JPEG", {"quality": 20}),
        (cmyk(), "JPEG", {}),
        (LINE.convert("RGB"), "WEBP", {}),
        (transparent(), "WEBP", {"lossless": True}),
        (LINE, "PNG", {"save_all": True, "append_images": [Image.new("L", LINE.size)]}),
        (LINE.convert("RGB"), "WEBP", {"save_all": True, "append_images": [Image.new("RGB", LINE.size)]}),
    ],
)
def test_a_line_is_found_in_every_mode_and_of_the_first_frame(
    image: Image.Image, kind: str, options: dict[str, Any]
) -> None:
    assert strokes_of(encoded(image, kind, **options)) == [EXPECTED]


@pytest.mark.parametrize(
    ("ink", "paper"),
    [("white", "black"), ("yellow", "white"), ("red", "blue"), ("#404040", "#707070"), ("#e0e0e0", "#a0a0a0")],
)
def test_ink_is_what_differs_from_the_border_in_colour_or_lightness(ink: str, paper: str) -> None:
    image = Image.new("RGB", LINE.size, paper)
    image.paste(ink, mask=LINE.point(lambda level: 255 - level))
    assert strokes_of(encoded(image)) == [EXPECTED]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_says(orientation: int) -> None:
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what undoes an orientation, as Pillow's transpositions
    stored = LINE.transpose(Image.Transpose(back[orientation])) if orientation > 1 else LINE
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("JPEG", "PNG"):
        assert strokes_of(encoded(stored, kind, exif=exif)) == [EXPECTED]


def test_damaged_exif_is_left_aside() -> None:
    assert strokes_of(encoded(LINE, "JPEG", exif=b"Exif\x00\x00XX\x00*\x00\x00\x00\x08")) == [EXPECTED]


def test_a_large_picture_is_reduced_to_the_working_size() -> None:
    content = encoded(LINE.resize((3000, 1500)))
    assert read_raster(content, "line.png").shape == (WORKING_SIZE // 2, WORKING_SIZE, 1)
    content = encoded(LINE.resize((3000, 1500)), "JPEG")
    assert read_raster(content, "line.jpg").shape == (WORKING_SIZE // 2, WORKING_SIZE, 1)


def png_of(width: int, height: int) -> bytes:
    """A PNG file that claims a size and has no pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(6325, 6325), (12_000, 9_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(width: int, height: int) -> None:
    assert width * height > MOST_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=r"big\.png: a picture (of more than 40,000,000|that cannot)"):
            read_raster(png_of(width, height), "big.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_what_is_cut_off_is_an_error_in_one_line(kind: str) -> None:
    content = encoded(LINE.convert("RGB"), kind)
    for end in (12, 20, 40, len(content) // 2):
        with pytest.raises(InputError, match="line: a picture that cannot be read") as caught:
            read_raster(content[:end], "line")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("seed", range(20))
def test_damage_is_an_error_or_a_picture(kind: str, seed: int) -> None:
    dice = np.random.default_rng(seed)
    content = bytearray(encoded(LINE.convert("RGB"), kind, exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00"))
    for place in dice.integers(0, min(len(content), 400), 4):
        content[place] = dice.integers(0, 256)
    try:
        levels = read_raster(bytes(content), "line")
    except InputError:  # any other error fails the test
        return
    assert levels.ndim == 3
