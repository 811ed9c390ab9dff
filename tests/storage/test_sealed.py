"""Sealed JSON: the same text, whatever its length, as the encoder writes it at once."""

import hashlib
import json

import pytest

from pipeline.storage.sealed import checksum_of, seal, unseal


@pytest.mark.parametrize("count", [1, *range(1360, 1370), *range(4080, 4100)])  # joined 4,096 pieces at a time
def test_a_text_is_sealed_alike_wherever_its_parts_end(count: int) -> None:
    fields = {"a": list(range(count)), "b": {"ä": None}}
    whole = json.dumps(fields, ensure_ascii=False, indent=1) + "\n"
    checksum = hashlib.sha256(whole.encode()).hexdigest()
    assert seal(fields) == f'{whole[:-3]},\n "checksum": "{checksum}"\n}}\n'
    assert checksum_of(fields) == checksum
    assert unseal(seal(fields)) == (fields, True)


def test_a_name_that_is_not_utf_8_is_escaped() -> None:
    fields = {"path": "a\udcff", "word": "ä"}
    assert seal(fields).isascii()
    assert unseal(seal(fields)) == (fields, True)
