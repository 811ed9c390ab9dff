"""JSON files whose last field is a SHA-256 of the rest of their text, which is compared on reading."""

import hashlib
import itertools
import json
from collections.abc import Mapping
from typing import Any

CHECKSUM = "checksum"
_END = "\n}\n"
_PIECES = 4096  # of JSON, joined at a time


def seal(fields: Mapping[str, Any]) -> str:
    """The text of `fields`, one or more, and of their checksum, which is the last field."""
    parts, sha256 = _canonical(fields)
    end = "".join(parts[-2:]).removesuffix(_END)  # which may begin in the last part but one
    return "".join([*parts[:-2], end, _last_field(sha256)])


def checksum_of(fields: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of the text of `fields` alone.

    >>> checksum_of({"rows": 3})[:16]
    '134f33b07d577237'
    """
    return _canonical(fields)[1]


def unseal(text: str) -> tuple[dict[str, Any], bool]:
    """The fields of a JSON object without their checksum, and whether the checksum is that of the rest of the text.

    Raises:
        ValueError: the text is not a JSON object.
    """
    fields = parse_object(text)
    fields.pop(CHECKSUM, None)
    rest = text[: text.rfind(",")] + _END
    return fields, text == rest.removesuffix(_END) + _last_field(hashlib.sha256(rest.encode()).hexdigest())


def parse_object(text: str | bytes) -> dict[str, Any]:
    """The fields of a JSON object.

    Raises:
        ValueError: the text is not a JSON object, or Python cannot hold it.
    """
    try:
        fields = json.loads(text)
    except RecursionError as error:
        raise ValueError("its JSON is nested too deep") from error
    if not isinstance(fields, dict):
        raise ValueError("it is no JSON object")
    return fields


def _last_field(sha256: str) -> str:
    return f',\n "{CHECKSUM}": "{sha256}"{_END}'


def _canonical(fields: Mapping[str, Any]) -> tuple[list[str], str]:
    """The canonical text, in parts, and its SHA-256 in hex."""
    try:
        return _dumped(fields, is_ascii=False)
    except UnicodeEncodeError:  # a path that is not UTF-8
        return _dumped(fields, is_ascii=True)


def _dumped(fields: Mapping[str, Any], *, is_ascii: bool) -> tuple[list[str], str]:
    # A manifest may have 20 MB: json.dumps would hold all pieces of it at once, and encoding the whole another copy.
    parts, sha256, pieces = [], hashlib.sha256(), json.JSONEncoder(ensure_ascii=is_ascii, indent=1).iterencode(fields)
    while part := "".join(itertools.islice(pieces, _PIECES)):
        parts.append(part)
        sha256.update(part.encode())
    sha256.update(b"\n")
    return [*parts[:-1], f"{parts[-1]}\n"], sha256.hexdigest()
