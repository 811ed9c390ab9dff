"""The fixed sets of names among which options choose. Imports nothing, so that help and completion are quick."""

from typing import Literal

Split = Literal["train", "validation", "test"]
SplitOrAll = Literal[Split, "all"]
Encoding = Literal["palette", "order", "gray"]
Framing = Literal["corner", "centred"]
Scaling = Literal["nearest", "bilinear", "bicubic", "lanczos"]
PictureFormat = Literal["png", "npy"]
Format = Literal["simplified", "raw", "binary", "numpy"]
