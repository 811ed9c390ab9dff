"""JSON files whose last field is a SHA-256 of the rest of their text, which is compared on reading."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

CHECKSUM = "checksum"


def seal(fields: Mapping[str, Any]) -> str:
    """The text of `fields`, with their checksum as the last of them."""
    return _canonical({**fields, CHECKSUM: checksum_of(fields)})


def checksum_of(fields: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of the text of `fields` alone.

    >>> checksum_of({"rows": 3})[:16]
    '134f33b07d577237'
    """
    return hashlib.sha256(_canonical(fields).encode()).hexdigest()


def unseal(text: str) -> tuple[dict[str, Any], bool]:
    """The fields of a JSON object without their checksum, and whether `text` is, byte for byte, what `seal` made.

    Raises:
        ValueError: the text is no JSON object.
    """
    try:
        fields = json.loads(text)
    except RecursionError as error:
        raise ValueError("its JSON is nested too deep") from error
    if not isinstance(fields, dict):
        raise ValueError(f"expected a JSON object, found {type(fields).__name__}")
    fields.pop(CHECKSUM, None)
    return fields, seal(fields) == text


def _canonical(fields: Mapping[str, Any]) -> str:
    text = json.dumps(fields, ensure_ascii=False, indent=1)
    try:
        text.encode()
    except UnicodeEncodeError:  # a path that is not UTF-8
        text = json.dumps(fields, indent=1)
    return text + "\n"
