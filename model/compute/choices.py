"""The fixed sets of names among which `--device` and `--precision` choose. Imports nothing, so that help is quick."""

from typing import Literal

Device = Literal["auto", "cpu", "gpu"]
Precision = Literal["auto", "float32", "bfloat16"]
