"""Disks that fail once: the k-th call of a function of `os` that puts something on a disk."""

import os
from collections.abc import Callable
from typing import Any

import pytest

CALLS = ("write", "fsync", "replace", "open", "ftruncate")


class Faults:
    """Lets the k-th call of one function of `os` on a file below a folder fail; counts the calls."""

    def __init__(self, patch: pytest.MonkeyPatch, call: str, fails: int | None, code: int) -> None:
        self.count, self.failed = 0, False
        real: Callable[..., Any] = getattr(os, call)

        def counted(*args: Any, **options: Any) -> Any:
            if call == "open" and not args[1] & os.O_WRONLY:  # reading is not what is tried here
                return real(*args, **options)
            self.count += 1
            if self.count - 1 == fails:
                self.failed = True
                raise OSError(code, os.strerror(code))
            return real(*args, **options)

        patch.setattr(os, call, counted)
