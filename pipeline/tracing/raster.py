"""Reads PNG, JPEG and WebP files, of any mode, as colours on white of a size that bounds the work."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from pipeline.arrays import UInt8Array
from pipeline.errors import InputError

MOST_PIXELS = 40_000_000  # of a picture as it is stored
WORKING_SIZE = 1024  # pixels: the longer side of a picture whose lines are traced; larger ones are reduced to it
LEAST_SIZE = 512  # pixels: smaller pictures are enlarged, so that lines are some pixels wide and stay apart
_ORIENTATION = 0x0112  # the tag of EXIF
_DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # modes with 16 bits for gray
_DEEP_LEVELS = 257.0  # of 16 bits for one of 8


def read_raster(content: bytes, name: str) -> UInt8Array:
    """The first frame of a picture, turned as its EXIF says, with what is transparent on white.

    Args:
        content: a PNG, JPEG or WebP file.
        name: what messages call it.

    Returns:
        (H, W, C) uint8: RGB, or one channel of gray, with a longer side of `LEAST_SIZE` to `WORKING_SIZE` pixels;
        larger pictures are reduced by averaging areas.

    Raises:
        InputError: it is damaged, or has more than `MOST_PIXELS` pixels.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large pictures, and of what it finds odd and reads anyway
        try:
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP")) as image:
                _refuse_large(image.width, image.height, name)
                image.draft("RGB", (WORKING_SIZE, WORKING_SIZE))  # JPEG is decoded at a half, a quarter or an eighth
                image.load()
                return _resized(ImageOps.exif_transpose(_flat(image)))
        except InputError:
            raise
        except Image.DecompressionBombError as error:
            raise _too_large(name, str(error)) from error
        except MemoryError:
            raise
        except Exception as error:  # Pillow's decoders raise errors of many kinds for bytes that are not as they expect
            raise InputError(
                f"{name}: a picture that cannot be read ({error}); it may be cut off or damaged: save it anew as PNG"
            ) from error


def _refuse_large(width: int, height: int, name: str) -> None:
    if width * height > MOST_PIXELS:
        raise _too_large(name, f"{width:,} x {height:,} pixels")


def _too_large(name: str, found: str) -> InputError:
    return InputError(f"{name}: a picture of more than {MOST_PIXELS:,} pixels ({found}); save it smaller")


def _flat(image: Image.Image) -> Image.Image:
    """The picture in mode L or RGB, on white where it is transparent."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # of many kinds: damaged EXIF is no reason to refuse the picture
        orientation = 1
    if image.mode in _DEEP:
        levels = np.asarray(image).astype(np.float32) / _DEEP_LEVELS
        flat = Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        flat = Image.new("RGB", image.size, "white")
        flat.paste(image, mask=image.getchannel("A"))
    else:
        flat = image.convert("L" if image.mode in ("1", "L", "F") else "RGB")
    flat.info = {}
    flat.getexif()[_ORIENTATION] = orientation
    return flat


def _resized(image: Image.Image) -> UInt8Array:
    longest = max(image.size)
    wanted = min(max(longest, LEAST_SIZE), WORKING_SIZE)
    if longest != wanted:
        width, height = (max(1, round(side * wanted / longest)) for side in image.size)
        method = Image.Resampling.BOX if wanted < longest else Image.Resampling.BICUBIC
        image = image.resize((width, height), method)
    levels = np.asarray(image)
    return levels if levels.ndim == 3 else levels[..., None]
