"""Words as labels in pictures: in a font that has their letters, or else escaped as in file names."""

import functools
import importlib.util
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageFont, features

from pipeline.pictures.names import safe_name

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
_NO_CHARACTER = "\U0010ffff"  # never a character (Unicode guarantees that), so a font draws its sign for missing ones


@dataclass(frozen=True)
class Label:
    """A text and the font that has its letters."""

    text: str
    font: Font

    @property
    def width(self) -> float:
        """The width of the text in pixels."""
        return self.font.getlength(self.text)


def label_of(word: str, size: int, width: int) -> Label:
    """The word as a label of at most `width` pixels in a font of `size` pixels; cut with `...`.

    Pillow's font has only ASCII letters; DejaVu Sans, which comes with matplotlib, has those of most alphabets, but
    none of Chinese, Japanese or Korean. A word with a character that neither has is shown as its `safe_name`.
    """
    text, fonts = unicodedata.normalize("NFC", word), _fonts(size)
    font = next((one for one in fonts if _can_show(text, one)), None)
    if font is None:
        text, font = safe_name(word), fonts[0]
    if font.getlength(text) <= width:
        return Label(text, font)
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return Label(text + "...", font)


def _can_show(text: str, font: Font) -> bool:
    if not text.isprintable():
        return False
    if not features.check("raqm") and any(unicodedata.bidirectional(c) in ("R", "AL") for c in text):
        return False  # Pillow would write it from the left
    lacking = bytes(font.getmask(_NO_CHARACTER))
    return all(bytes(font.getmask(c)) != lacking for c in set(text))


@functools.cache
def _fonts(size: int) -> list[Font]:
    """The fonts to choose from, the first that has all letters."""
    fonts: list[Font] = [ImageFont.load_default(size)]
    found = importlib.util.find_spec("matplotlib")  # its file is enough: importing matplotlib takes half a second
    if found is not None and found.origin is not None:
        path = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if path.is_file():
            fonts.append(ImageFont.truetype(path, size))
    return fonts
