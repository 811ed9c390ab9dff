"""Checks of the fields of JSON files by type and range, done once, before anything uses them.

A check is a function of a field's name and its value; it raises a `FieldError` that says what was expected and found.
`FLAG`, `SHA256` and `PATH`, at the end, are the checks without settings.
"""

import math
import os
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from pipeline.wording import visible

Check = Callable[[str, Any], None]
MOST = 2**63 - 1  # the largest whole number that NumPy and Arrow take everywhere
_SHOWN = 40  # characters of a value in a message


class FieldError(ValueError):
    """A field of a JSON file that is missing, unknown, of another type or out of range."""


def whole(least: int = 0, most: int = MOST) -> Check:
    """A whole number in a range."""
    return _where(lambda value: type(value) is int and least <= value <= most, f"a whole number from {least} to {most}")


def real(least: float = -math.inf, most: float = math.inf) -> Check:
    """A finite number in a range, with or without a fraction."""
    limits = "" if least == -math.inf else f" from {least:g}" + ("" if most == math.inf else f" to {most:g}")

    def fits(value: Any) -> bool:
        # `abs` first, because a whole number of hundreds of digits has no float.
        return type(value) in (int, float) and abs(value) < 1e300 and least <= value <= most

    return _where(fits, f"a finite number{limits}")


def text(longest: int | None = None, *, pattern: re.Pattern[str] | None = None) -> Check:
    """A text that UTF-8 can hold, of at most `longest` characters, all of it as `pattern` says."""

    def fits(value: Any) -> bool:
        if not isinstance(value, str) or (longest is not None and len(value) > longest):
            return False
        return _encodes(value) and (pattern is None or pattern.fullmatch(value) is not None)

    limit = "" if longest is None else f" of at most {longest} characters"
    return _where(fits, f"a text{limit}" if pattern is None else f"a text like {pattern.pattern}")


def optional(check: Check) -> Check:
    """Null, or what `check` expects."""

    def checked(name: str, value: Any) -> None:
        if value is not None:
            check(name, value)

    return checked


def each(check: Check, *, most: int | None = None) -> Check:
    """A list of at most `most` values, each as `check` expects."""

    def checked(name: str, value: Any) -> None:
        limit = "" if most is None else f" of at most {most}"
        _where(lambda one: isinstance(one, list) and (most is None or len(one) <= most), f"a list{limit}")(name, value)
        for place, one in enumerate(value):
            try:
                check(name, one)
            except FieldError:  # most lists are right, and long: a name for each value would take longer than the check
                check(f"{name}[{place}]", one)

    return checked


def values(check: Check) -> Check:
    """An object with fields of any name, each with a value as `check` expects."""

    def checked(name: str, value: Any) -> None:
        _where(lambda one: isinstance(one, dict), "an object")(name, value)
        for key, one in value.items():
            _where(_encodes, "texts as names")(name, key)
            check(f"{name}.{key}", one)

    return checked


def record(checks: Mapping[str, Check], *, may_lack: Collection[str] = ()) -> Check:
    """An object with these fields and no others; it may lack those of `may_lack`."""

    def checked(name: str, value: Any) -> None:
        _where(lambda one: isinstance(one, dict), "an object")(name, value)
        prefix = f"{name}." if name else ""
        for key in value:
            if key not in checks:
                raise FieldError(f"unknown field {_shown(prefix + key)}")
        for key, check in checks.items():
            if key in value:
                check(prefix + key, value[key])
            elif key not in may_lack:
                raise FieldError(f"{prefix}{key} is missing")

    return checked


def _where(fits: Callable[[Any], bool], expected: str) -> Check:
    def checked(name: str, value: Any) -> None:
        if not fits(value):
            raise FieldError(f"{visible(name)}: expected {expected}, found {_shown(value)}")

    return checked


def _shown(value: Any) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    found = visible(value if isinstance(value, str) else repr(value))
    found = found if len(found) <= _SHOWN else f"{found[:_SHOWN]} (and {len(found) - _SHOWN:,} more characters)"
    return f'"{found}"' if isinstance(value, str) else found


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_path(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(value) <= 4096 and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


FLAG = _where(lambda value: isinstance(value, bool), "true or false")
SHA256 = text(pattern=re.compile(r"[0-9a-f]{64}"))
PATH = _where(_is_path, "a path")  # need not exist; bytes that are not UTF-8 are lone surrogates, as Python has them
