"""Tells from the first bytes of a file whether it is a picture that can be traced."""

import re
from typing import Literal

PEEK_BYTES = 1 << 14

Kind = Literal["raster", "SVG"]

_SVG = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s|<\?.*?\?>|<!--.*?-->|<!DOCTYPE\s+svg\b[^\[>]*(?:\[.*?\]\s*)?>)*<(?:\w+:)?svg[\s>/]",
    re.DOTALL,
)


def picture_kind(begin: bytes) -> Kind | None:
    """What a file is that begins with these bytes, `PEEK_BYTES` or all if it has fewer; None if it is no picture.

    >>> picture_kind(b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg">')
    'SVG'
    """
    if begin.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or (begin[:4] == b"RIFF" and begin[8:12] == b"WEBP"):
        return "raster"
    return "SVG" if _SVG.match(begin) else None
