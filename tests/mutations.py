"""Changes to JSON files whose checksums are then made to fit: what somebody writes who wants readers to fail."""

import copy
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from pipeline.storage.sealed import CHECKSUM

_LONG = "@long@"  # stands for a number that Python's json refuses: one of 5,000 digits
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.5, -0.0, 1e308, 2**31, 2**63, 2**64, 10**18, 10**400, float("nan"), float("inf"),
    _LONG, "", "x", "x" * 5_000, "\ud800", "\udcff", "a\0b", "a\nb\x1b[31m", "../../etc", "/etc", "99", "9" * 5_000,
    [], [[]], [None], [0], ["\ud800"], ["a", "a"], [{}], {}, {"a": None}, {"\ud800": 1}, {"a": 10**400},
)  # fmt: skip
_DEEP = (90, 900, 100_000)  # levels of lists


def sealed(text: str) -> str:
    """The text of a JSON object, which may be none, with its checksum as the last field."""
    rest = text.rstrip().removesuffix("}").rstrip() + "\n}\n"
    proof = hashlib.sha256(rest.encode(errors="replace")).hexdigest()
    return f'{rest.removesuffix(chr(10) + "}" + chr(10))},\n "{CHECKSUM}": "{proof}"\n}}\n'


def mutated(text: str) -> Iterator[tuple[str, str]]:
    """What was changed in a JSON object, and the text of it without a checksum: every field, by every kind of value."""
    fields = json.loads(text)
    fields.pop(CHECKSUM, None)
    for path in list(_paths(fields)):
        where = ".".join(map(str, path))
        for value in _VALUES:
            yield f"{where} = {str(value)[:20]!r}", _text(_with(fields, path, value))
        for levels in _DEEP:
            nested = _text(_with(fields, path, "@deep@")).replace('"@deep@"', "[" * levels + "]" * levels)
            yield f"{where} nested {levels}", nested
        yield f"{where} removed", _text(_with(fields, path))
    yield "a field too many", _text({**fields, "more": 1})
    first = next(iter(fields))
    for value in (None, [], "x"):
        yield f"{first} twice", _text(fields).replace("{", f'{{"{first}": {json.dumps(value)}, ', 1)
        yield f"{first} twice, last", _text(fields).rstrip().removesuffix("}") + f', "{first}": {json.dumps(value)}\n}}'
    for other in ("", "null", "[]", "{", "3", '"x"', "[" * 100_000, '{"a":' * 100_000, "\x00", "{}"):
        yield f"{other[:9]!r} instead", other


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where values are: all fields, and the first two items of each list."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for name, item in items:
        yield from _paths(item, (*path, name))


def _with(fields: Any, path: tuple[Any, ...], *value: Any) -> Any:
    """The fields with another value at a path, or without any."""
    fields = copy.deepcopy(fields)
    place = fields
    for name in path[:-1]:
        place = place[name]
    if value:
        place[path[-1]] = value[0]
    else:
        del place[path[-1]]
    return fields


def _text(fields: Any) -> str:
    text = json.dumps(fields, ensure_ascii=False, indent=1)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(fields, indent=1)
    return text.replace(f'"{_LONG}"', "9" * 5_000) + "\n"
