"""Formats text for terminals: numbers with their nouns, words without control characters, aligned cells, JSON."""

import json
import unicodedata


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """A number and its noun.

    >>> counted(1, "drawing"), counted(8123, "point"), counted(2, "class", "classes")
    ('1 drawing', '8,123 points', '2 classes')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def visible(text: str) -> str:
    r"""Text as one line that a terminal only shows.

    Characters that a terminal obeys or hides are escaped as in Python: control characters, line breaks, overrides of
    the direction of writing, unusual spaces.

    >>> print(visible("caf\u00e9\n\x1b[31m\u202e"))
    café\n\x1b[31m\u202e
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def json_text(value: object, *, indent: int | None = 1) -> str:
    r"""A value as JSON that a terminal only shows; the characters that `visible` escapes are escaped as JSON does.

    >>> print(json_text({"word": "caf\u00e9 \x9b\u202e"}, indent=None))
    {"word": "café \u009b\u202e"}
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else _json_escape(c) for c in text)


def columns_of(text: str) -> int:
    r"""The columns that a terminal needs for a `visible` text: two for each wide character, none for a combining one.

    >>> columns_of("cat"), columns_of("\u732b"), columns_of("e\u0301")
    (3, 2, 1)
    """
    text = visible(text)
    return len(text) if text.isascii() else sum(map(_columns, text))


def aligned(text: str, columns: int, *, right: bool = False) -> str:
    r"""The `visible` text with spaces up to so many columns of a terminal, to the left of it if `right`.

    >>> aligned("\u732b", 4), aligned("cat", 5, right=True)
    ('猫  ', '  cat')
    """
    text = visible(text)
    spaces = " " * (columns - columns_of(text))
    return spaces + text if right else text + spaces


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf") or "\u1160" <= character <= "\u11ff":
        return 0  # the second range holds the vowels and finals of Hangul, which are drawn into the letter before them
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _json_escape(character: str) -> str:
    return f"\\u{ord(character):04x}" if character <= "\uffff" else json.dumps(character)[1:-1]
