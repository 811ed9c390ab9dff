"""JSON files whose last field is a SHA-256 of the rest of their text, which is compared on reading."""

import hashlib
import io
import json
from collections.abc import Mapping
from typing import Any

CHECKSUM = "checksum"
_END = "\n}\n"


def seal(fields: Mapping[str, Any]) -> str:
    """The text of `fields`, one or more, and of their checksum, which is the last field."""
    text = _canonical(fields)
    last = _last_field(text)
    text = text.removesuffix(_END)  # a manifest may have 20 MB, of which no more copies than these are held
    return text + last


def checksum_of(fields: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of the text of `fields` alone.

    >>> checksum_of({"rows": 3})[:16]
    '134f33b07d577237'
    """
    return _sha256(_canonical(fields))


def unseal(text: str) -> tuple[dict[str, Any], bool]:
    """The fields of a JSON object without their checksum, and whether the checksum is that of the rest of the text.

    Raises:
        ValueError: the text is not a JSON object.
    """
    fields = parse_object(text)
    fields.pop(CHECKSUM, None)
    rest = text[: text.rfind(",")] + _END
    return fields, text == rest.removesuffix(_END) + _last_field(rest)


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


def _last_field(rest: str) -> str:
    return f',\n "{CHECKSUM}": "{_sha256(rest)}"{_END}'


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(fields: Mapping[str, Any]) -> str:
    text = _dumped(fields, is_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # a path that is not UTF-8
        text = _dumped(fields, is_ascii=True)
    return text


def _dumped(fields: Mapping[str, Any], *, is_ascii: bool) -> str:
    text = io.StringIO()
    for part in json.JSONEncoder(ensure_ascii=is_ascii, indent=1).iterencode(fields):
        text.write(part)  # json.dumps holds all parts at once, which take twice the memory of the text
    text.write("\n")
    return text.getvalue()
