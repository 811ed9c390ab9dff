"""Formats numbers with their nouns for messages."""


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """A number and its noun.

    >>> counted(1, "drawing"), counted(8123, "point"), counted(2, "class", "classes")
    ('1 drawing', '8,123 points', '2 classes')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
