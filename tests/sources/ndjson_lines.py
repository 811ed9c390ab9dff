"""Lines of ndjson that are legal, and lines that are not, each with the reason and the message it is rejected with."""

import json

FIELDS = {
    "word": '"cat"',
    "countrycode": '"US"',
    "timestamp": '"2017-03-02 23:25:10.07453 UTC"',
    "recognized": "true",
    "key_id": '"5201136883597312"',
    "drawing": "[[[0,255],[10,20]]]",
}


def line(**changes: str | None) -> bytes:
    """A line of Google's with some fields as JSON texts of the test's own; None leaves one out."""
    fields = {name: text for name, text in (FIELDS | changes).items() if text is not None}
    return ("{" + ",".join(f'"{name}":{text}' for name, text in fields.items()) + "}").encode()


def drawing(text: str) -> bytes:
    return line(drawing=text)


VALID = {
    "as Google writes it": line(),
    "fields the other way round": (
        "{" + ",".join(f'"{name}":{FIELDS[name]}' for name in reversed(FIELDS)) + "}"
    ).encode(),
    "a raw drawing": drawing("[[[1,2.5,-3e1,700],[3,4,5.25,6],[0,16,32,48]],[[1],[2],[0]]]"),
    "a raw drawing of one point": drawing("[[[-7.5],[1e3],[0]]]"),
    "a raw drawing with spaces and times that decrease": drawing("[ [[0, 300, 600],[0, 9, 0] ,[ 5, 4,3.5]]]"),
    "drawing first": b'{"drawing":[[[1,2],[3,4]],[[5],[6]]],"word":"cat"}',
    "only word and drawing": b'{"word":"cat","drawing":[[[1,2],[3,4]]]}',
    "spaces as Python's json writes them": json.dumps(
        {name: json.loads(text) for name, text in FIELDS.items()}
        | {"drawing": [[[0, 255, 7], [1, 20, 30]], [[1], [2]]]}
    ).encode(),
    "escapes and surrogate pairs in every free string": line(
        word=r'"\ud83d\ude00\u00e9"', countrycode=r'"\u0055S\n"', extra=r'{"\ud83d\ude00":["\ud83d\ude00\\"]}'
    ),
    **{
        f"words of {n} letters": line(word=f'"{"abcdefghijklmnopq"[:n]}"', countrycode=f'"{"é" * n}"')
        for n in range(1, 18)
    },
    "everything else null": line(countrycode="null", timestamp="null", recognized="null", key_id="null"),
    "spaces wherever they may stand": b' { "word" :\t"cat" , "drawing" : [ [ [ 1 , 2 ] ,\t[ 3 ,4 ] ] ] } ',
    "a space before one value alone": drawing("[[[1,20, 7,8],[3,4,5 ,6]],[[1, 2],[3,4]]]"),
    "carriage return": line() + b"\r",
    "carriage returns inside": b'{"word":"cat",\r"drawing":[[[1,\r2],[3,4\r]]]\r}',
    "an escaped word": line(word=r'"The Eiffel \u0054ower \"\\\/\b\f\n\r\t"'),
    "a word in UTF-8": line(word='"café 猫 😀"'),
    "the same word in escapes": line(word=r'"caf\u00e9 \u732b \ud83d\ude00"'),
    "escaped field names": b'{"\\u0077ord":"cat","draw\\u0069ng":[[[1],[2]]],"\\u006Bey_id":"7"}',
    "a name that only begins like a field's": b'{"words":1,"wor":2,"word":"cat","drawing":[[[1],[2]]],"drawing ":0}',
    "a name with an escape that no field has": b'{"\\n":1,"wor\\u0064\\"":2,"word":"cat","drawing":[[[1],[2]]]}',
    "an empty name": b'{"":1,"word":"cat","drawing":[[[1],[2]]]}',
    "unknown fields": line(a="1", b='"x"', c="null", d="-1.5e-3", e="[]", f="{}", g="true", h="false"),
    "unknown nested fields": line(extra='{"a":[1,{"b":[[]],"c":{}},"x\\ud83d\\ude00"],"a":[[1,2],[3]]}'),
    "an unknown field twice": b'{"x":1,"x":2,"word":"cat","drawing":[[[1],[2]]]}',
    "64 levels of nesting": line(extra="[" * 64 + "]" * 64),
    "numbers that no machine holds": line(extra="[1e400,-1E-400,0.0,-0,123456789012345678901234567890]"),
    "key_id as a number": line(key_id="5201136883597312"),
    "key_id 0": line(key_id="0"),
    "the largest key_id": line(key_id='"18446744073709551615"'),
    "the largest key_id as a number": line(key_id="18446744073709551615"),
    "a key_id with leading zeros": line(key_id='"00000000000000000000000018446744073709551615"'),
    "no key_id": line(key_id=None),
    "no key_id, another word": line(key_id=None, word='"dog"'),
    "not recognized": line(recognized="false"),
    "an empty countrycode": line(countrycode='""'),
    "a dot": drawing("[[[7],[9]]]"),
    "the border": drawing("[[[0,255,0],[255,0,255]]]"),
    "65,535 points": drawing(f"[[[{'1,' * 40_000}1],[{'2,' * 40_000}2]],[[{'3,' * 25_533}3],[{'4,' * 25_533}4]]]"),
    "no fraction of a second": line(timestamp='"2017-03-02 23:25:10 UTC"'),
    **{f"{n} digits of a second": line(timestamp=f'"2017-03-02 23:25:10.{"987654321"[:n]} UTC"') for n in range(1, 10)},
    "ISO 8601": line(timestamp='"2017-03-02T23:25:10.5Z"'),
    "no zone": line(timestamp='"2017-03-02 23:25:10"'),
    "a leap day": line(timestamp='"2016-02-29 23:59:59.999999 UTC"'),
    "a leap day of a century": line(timestamp='"2000-02-29 00:00:00 UTC"'),
    "long ago": line(timestamp='"0001-01-01 00:00:00 UTC"'),
    "far ahead": line(timestamp='"9999-12-31 23:59:59.999999 UTC"'),
}


NOT_TIME = '"timestamp" is not like "2017-03-02 23:25:10.07453 UTC"'
NOT_KEY = '"key_id" is not a whole number below 2**64'
DEEP = 100_000
MALFORMED: dict[str, tuple[bytes, str, str]] = {
    # name: the line, its reason, its message
    "no word": (line(word=None), "field-missing", '"word" is missing'),
    "no drawing": (line(drawing=None), "field-missing", '"drawing" is missing'),
    "an empty object": (b"{}", "field-missing", '"word" is missing'),
    "null as word": (line(word="null"), "wrong-type", '"word" is not a string'),
    "a number as word": (line(word="5"), "wrong-type", '"word" is not a string'),
    "an empty word": (line(word='""'), "empty-word", '"word" is empty'),
    "a number as countrycode": (line(countrycode="49"), "wrong-type", '"countrycode" is not a string or null'),
    "a string as recognized": (line(recognized='"yes"'), "wrong-type", '"recognized" is not true, false or null'),
    "a number as recognized": (line(recognized="1"), "wrong-type", '"recognized" is not true, false or null'),
    "a number as timestamp": (line(timestamp="1488497110"), "wrong-type", '"timestamp" is not a string or null'),
    "a list as key_id": (line(key_id="[1]"), "wrong-type", '"key_id" is not a string of digits, a number or null'),
    "null as drawing": (drawing("null"), "wrong-type", '"drawing" is not a list of strokes'),
    "a string as drawing": (drawing('"[[[1],[2]]]"'), "wrong-type", '"drawing" is not a list of strokes'),
    "a number": (b"5", "not-an-object", 'expected a JSON object, found "5"'),
    "a list": (b"[1]", "not-an-object", 'expected a JSON object, found "["'),
    "a byte of no text": (b"\x89PNG\r", "not-an-object", "expected a JSON object, found byte 0x89"),
    "the word twice": (line()[:-1] + b',"word":"cat"}', "field-twice", '"word" appears twice'),
    "the drawing twice": (line()[:-1] + b',"drawing":[[[1],[2]]]}', "field-twice", '"drawing" appears twice'),
    "a field twice, once escaped": (line()[:-1] + b',"key\\u005fid":1}', "field-twice", '"key_id" appears twice'),
    "no strokes": (drawing("[]"), "no-strokes", "the drawing has no strokes"),
    "an empty stroke": (drawing("[[[1],[2]],[]]"), "list-count", "stroke 2: expected two lists, x and y, found 0"),
    "a stroke without y": (drawing("[[[1,2]]]"), "list-count", "stroke 1: expected two lists, x and y, found 1"),
    "a stroke without points": (drawing("[[[1],[2]],[[],[]]]"), "no-points", "stroke 2 has no points"),
    "a raw stroke behind a simplified one": (
        drawing("[[[1],[2]],[[1],[2],[0]]]"),
        "raw-stroke",
        "stroke 2 has more than the two lists x and y that the strokes before it have",
    ),
    "a simplified stroke behind a raw one": (
        drawing("[[[1],[2],[0]],[[1],[2]]]"),
        "raw-list-count",
        "stroke 2: expected the three lists of a raw drawing, found 2",
    ),
    "four lists": (
        drawing("[[[1],[2],[0],[0]]]"),
        "raw-list-count",
        "stroke 1: expected the three lists of a raw drawing, found more",
    ),
    "fewer times than points": (
        drawing("[[[1,2],[3,4],[0]]]"),
        "time-count",
        "stroke 1 has 2 points but 1 time",
    ),
    "a raw value beyond any float": (
        drawing("[[[1e400],[3],[0]]]"),
        "not-finite",
        "stroke 1: x at column 137 is larger than any float64",
    ),
    "a raw value in quotes": (
        drawing('[[[1],["3"],[0]]]'),
        "not-a-number",
        "stroke 1: y at column 141 is not a number",
    ),
    "times that are no list": (
        drawing("[[[1],[2],[0]],[[1],[3],0]]"),
        "not-a-stroke",
        "stroke 2: its times are not a list",
    ),
    "more x than y": (drawing("[[[1],[1]],[[1,2,3],[1,2]]]"), "xy-lengths", "stroke 2 has 3 x but 2 y values"),
    "no y": (drawing("[[[1,2],[]]]"), "xy-lengths", "stroke 1 has 2 x but 0 y values"),
    "a stroke that is a number": (drawing("[[[1],[2]],3]"), "not-a-stroke", "stroke 2 is not a list"),
    "points that are no list": (drawing("[[1,2],[3,4]]"), "not-a-stroke", "stroke 1: its x are not a list"),
    "y that are no list": (drawing("[[[1],2]]"), "not-a-stroke", "stroke 1: its y are not a list"),
    "256": (drawing("[[[1],[256]]]"), "out-of-range", "stroke 1: y at column 141 is not in 0-255"),
    "a negative value": (drawing("[[[-1],[2]]]"), "out-of-range", "stroke 1: x at column 137 is not in 0-255"),
    "a value beyond 64 bits": (
        drawing(f"[[[{'9' * 30}],[2]]]"),
        "out-of-range",
        "stroke 1: x at column 137 is not in 0-255",
    ),
    "1.5": (drawing("[[[1.5],[2]]]"), "not-an-integer", "stroke 1: x at column 137 is not an integer"),
    "1.0": (drawing("[[[0,1.0],[2,2]]]"), "not-an-integer", "stroke 1: x at column 139 is not an integer"),
    "1e400": (drawing("[[[1e400],[2]]]"), "not-an-integer", "stroke 1: x at column 137 is not an integer"),
    "NaN": (drawing("[[[NaN],[2]]]"), "not-an-integer", "stroke 1: x at column 137 is not an integer"),
    "Infinity": (drawing("[[[1],[-Infinity]]]"), "not-an-integer", "stroke 1: y at column 141 is not an integer"),
    "-0": (drawing("[[[-0],[2]]]"), "not-an-integer", "stroke 1: x at column 137 is not an integer"),
    "01": (drawing("[[[01],[2]]]"), "not-an-integer", "stroke 1: x at column 137 is not an integer"),
    "null as a value": (drawing("[[[1],[null]]]"), "not-an-integer", "stroke 1: y at column 141 is not an integer"),
    "a string as a value": (drawing('[[["1"],[2]]]'), "not-an-integer", "stroke 1: x at column 137 is not an integer"),
    "a comma too many": (drawing("[[[1,],[2]]]"), "not-an-integer", "stroke 1: x at column 139 is not an integer"),
    "65,536 points": (
        drawing(f"[[[{'1,' * 65_535}1],[{'2,' * 65_535}2]]]"),
        "too-many-points",
        "the drawing has more than 65535 points",
    ),
    "a gap for a comma": (drawing("[[[1 2],[2]]]"), "syntax", 'column 139: expected ",", found "2"'),
    "a colon missing": (b'{"word" "cat"}', "syntax", 'column 9: expected ":", found a quotation mark'),
    "a name without quotes": (b'{word:"cat"}', "syntax", 'column 2: expected a quotation mark, found "w"'),
    "a comma before the brace": (line()[:-1] + b",}", "syntax", 'column 154: expected a quotation mark, found "}"'),
    "trailing garbage": (line() + b" x", "syntax", 'column 155: expected the end of the line, found "x"'),
    "two objects in a line": (line() + line(), "syntax", 'column 154: expected the end of the line, found "{"'),
    "an unknown field without value": (line(extra=""), "syntax", 'column 162: expected a value, found "}"'),
    "a bad number": (line(extra="01"), "bad-number", "column 162: not a JSON number"),
    "a lone minus": (line(extra="-"), "bad-number", "column 162: not a JSON number"),
    "a point without digits": (line(extra="1."), "bad-number", "column 162: not a JSON number"),
    "an exponent without digits": (line(extra="[1e+]"), "bad-number", "column 163: not a JSON number"),
    "Python's True": (line(recognized="True"), "wrong-type", '"recognized" is not true, false or null'),
    "deep nesting": (line(extra="[" * DEEP + "]" * DEEP), "too-deep", "column 226: nested deeper than 64 levels"),
    "deep objects": (line(extra='{"a":' * DEEP), "too-deep", "column 482: nested deeper than 64 levels"),
    "a lone surrogate": (line(word=r'"a\ud83d"'), "lone-surrogate", "column 11: half of a surrogate pair"),
    "surrogates the wrong way round": (
        line(word=r'"\ude00\ud83d"'),
        "lone-surrogate",
        "column 10: half of a surrogate pair",
    ),
    "a surrogate in a field's name": (
        line()[:-1] + rb',"\ud83d":1}',
        "lone-surrogate",
        "column 155: half of a surrogate pair",
    ),
    "a bad escape": (line(word=r'"\x41"'), "bad-escape", "column 10: not a valid JSON escape"),
    "a short escape": (line(word=r'"\u12"'), "bad-escape", "column 10: not a valid JSON escape"),
    "a control character": (line(word='"a\tb"'), "control-character", "column 11: control character 0x09 in a string"),
    "a NUL": (line(word='"a\0b"'), "control-character", "column 11: control character 0x00 in a string"),
    "a NUL between fields": (b'{"word":"cat",\0}', "syntax", "column 15: expected a quotation mark, found byte 0x00"),
    "a timestamp in words": (line(timestamp='"yesterday"'), "bad-timestamp", NOT_TIME),
    "February 29 of a common year": (
        line(timestamp='"2017-02-29 00:00:00 UTC"'),
        "bad-timestamp",
        NOT_TIME,
    ),
    "an empty timestamp": (line(timestamp='""'), "bad-timestamp", NOT_TIME),
    "a key_id of letters": (line(key_id='"12ab"'), "bad-key-id", NOT_KEY),
    "an empty key_id": (line(key_id='""'), "bad-key-id", NOT_KEY),
    "a key_id of 65 bits": (line(key_id="18446744073709551616"), "bad-key-id", NOT_KEY),
    "a negative key_id": (line(key_id="-5"), "bad-key-id", NOT_KEY),
    "a fraction as key_id": (line(key_id="1.5"), "bad-key-id", NOT_KEY),
    "a key_id like 1e5": (line(key_id="1e5"), "bad-key-id", NOT_KEY),
    "a second byte order mark": (b"\xef\xbb\xbf" + line(), "not-an-object", "expected a JSON object, found byte 0xef"),
    "UTF-16": (
        line().decode().encode("utf-16-le").replace(b"\n", b""),
        "syntax",
        "column 2: expected a quotation mark, found byte 0x00",
    ),
}
MALFORMED["Latin-1"] = (
    line(word='"café"').decode().encode("latin-1"),
    "not-utf8",
    "column 13: byte 0xe9 is not UTF-8",
)
for _name, _bytes in {
    "a lone continuation byte": b"\x80",
    "an overlong slash": b"\xc0\xaf",
    "an overlong form of three bytes": b"\xe0\x80\x80",
    "a surrogate in UTF-8": b"\xed\xa0\x80",
    "an overlong form of four bytes": b"\xf0\x80\x80\x80",
    "beyond U+10FFFF": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "half a character": b"\xe7\x8c",
}.items():
    MALFORMED[_name] = (
        line(word='"@"').replace(b"@", _bytes),
        "not-utf8",
        f"column 10: byte 0x{_bytes[0]:02x} is not UTF-8",
    )
