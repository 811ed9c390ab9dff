"""Files of random bitmaps, folders of pictures made of them, and what is in those."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.pictures.from_bitmaps import BitmapOptions, write_folders
from pipeline.pictures.sets import PictureSet


def some_bitmaps(count: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (count, 784), np.uint8)


def write(source: Path, to: Path, *, workers: int = 2, force: bool = False, **options: Any) -> tuple[PictureSet, bool]:
    return write_folders([str(source)], to, BitmapOptions(**options), workers=workers, force=force)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every visible file below a folder."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and ".build" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def index_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "index.csv").open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def pixels(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(path) as image:
        assert image.mode == "L"
        return np.asarray(image)
