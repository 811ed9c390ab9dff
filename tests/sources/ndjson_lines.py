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
    "a drawing as a string": drawing('"[[[1, 2, 3], [3, 4, 5]], [[7], [8]]]"'),
    "a raw drawing as a string": drawing('" [[[1, 2.5], [3, 4], [0, 16]]] "'),
    "strokes that are objects": drawing('[{"x":[1,2],"y":[3,4],"t":[0,5]},{"p":[[]],"y":[5.0],"x":[6]}]'),
    "points that are objects": drawing('[[{"x":1,"y":2,"t":3},{"y":3.0,"x":4}],[{"x":0,"y":255}]]'),
    "pairs": drawing("[[[1,2],[3,4],[5,6],[7,8.0]],[[9, 10]],[[1,2],[3,4]]]"),
    "pairs with spaces": drawing("[ [ [ 1 , 2 ] ,[3,4]],[[5,6],[7,8],[9,10]] ]"),
    "pairs on a canvas": drawing("[[[-1,2],[300,4],[5,6],[700,8]]]"),
    "floats that are whole": drawing("[[[0.0,255.0,1e1],[-0,20.00,2]]]"),
    "fractions without times": drawing("[[[0.5,300.25],[10.0,20.0]],[[1],[2]]]"),
    "256": drawing("[[[1],[256]],[[7],[8]]]"),
    "a negative value": drawing("[[[-1.5],[2]]]"),
    "a value beyond 64 bits": drawing(f"[[[{'9' * 30}],[2]]]"),
}


NOT_TIME = '"timestamp" is not like "2017-03-02 23:25:10.07453 UTC"'
NOT_KEY = '"key_id" is not a text, a whole number below 2**64 or null'
NO_WORD = '"word" is missing: give each line the class of its drawing, as in "word": "cat"'
SHAPE = "write each stroke as a list of x and a list of y, as in [[[0, 255], [10, 20]]]"
DEEP = 100_000
MALFORMED: dict[str, tuple[bytes, str, str]] = {
    # name: the line, its reason, its message
    "no word": (line(word=None), "field-missing", NO_WORD),
    "no drawing": (line(drawing=None), "field-missing", '"drawing" is missing'),
    "an empty object": (b"{}", "field-missing", NO_WORD),
    "null as word": (line(word="null"), "wrong-type", '"word" is not a string'),
    "a number as word": (line(word="5"), "wrong-type", '"word" is not a string'),
    "an empty word": (line(word='""'), "empty-word", '"word" is empty'),
    "null as drawing": (drawing("null"), "wrong-type", '"drawing" is not a list of strokes'),
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
    "a number among points": (
        drawing("[[[1,2],[3,4],[5,6],[7,8],10,25]]]"),
        "syntax",
        'column 160: expected "[", found "1"',
    ),
    "no y": (drawing("[[[1,2],[]]]"), "xy-lengths", "stroke 1 has 2 x but 0 y values"),
    "a stroke that is a number": (drawing("[[[1],[2]],3]"), "not-a-stroke", "stroke 2 is not a list"),
    "a drawing of points": (
        drawing("[[1,2],[3,4]]"),
        "other-shape",
        f"the drawing is a list of lists of numbers, without strokes; {SHAPE}",
    ),
    "stroke-3": (
        drawing("[[1,2,0],[3,4,1]]"),
        "other-shape",
        f"the drawing is a list of three numbers a point, as in stroke-3, [dx, dy, pen]; {SHAPE}",
    ),
    "points of three numbers": (
        drawing("[[[1,2,0],[3,4,9],[5,6,12],[7,8,20]]]"),
        "points-of-three",
        f"the points of the strokes are lists of three numbers; {SHAPE}",
    ),
    "an object without y": (drawing('[{"x":[1]}]'), "field-of-point", 'stroke 1: "y" is missing'),
    "an object with two x": (
        drawing('[{"x":[1],"x":[2],"y":[3]}]'),
        "field-of-point",
        'stroke 1: "x" appears twice',
    ),
    "an object with more x than y": (
        drawing('[{"x":[1,2],"y":[3]}]'),
        "xy-lengths",
        "stroke 1 has 2 x but 1 y value",
    ),
    "a drawing as a string of text": (drawing('"house"'), "wrong-type", '"drawing" is not a list of strokes'),
    "a string that ends after the drawing": (
        drawing('"[[[1],[2]]]x"'),
        "syntax",
        'column 146: expected a quotation mark, found "x"',
    ),
    "points that are no list": (drawing('[["1",[2]]]'), "not-a-stroke", "stroke 1: its x are not a list"),
    "y that are no list": (drawing("[[[1],2]]"), "not-a-stroke", "stroke 1: its y are not a list"),
    "1e400": (
        drawing("[[[1e400],[2]]]"),
        "not-finite",
        "stroke 1: x at column 137 is larger than any float64",
    ),
    "NaN": (drawing("[[[NaN],[2]]]"), "not-a-number", "stroke 1: x at column 137 is not a number"),
    "Infinity": (drawing("[[[1],[-Infinity]]]"), "bad-number", "column 141: not a JSON number"),
    "01": (drawing("[[[01],[2]]]"), "bad-number", "column 137: not a JSON number"),
    "null as a value": (drawing("[[[1],[null]]]"), "not-a-number", "stroke 1: y at column 141 is not a number"),
    "a string as a value": (drawing('[[["1"],[2]]]'), "not-a-number", "stroke 1: x at column 137 is not a number"),
    "a comma too many": (drawing("[[[1,],[2]]]"), "not-a-number", "stroke 1: x at column 139 is not a number"),
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
    "Python's True": (line(recognized="True"), "syntax", 'column 91: expected a value, found "T"'),
    "a key_id with a leading zero": (line(key_id="01"), "bad-number", "column 105: not a JSON number"),
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

# Of countrycode, timestamp, recognized and key_id: JSON that is no value of the field, with what is noted of it.
NULLED = {
    "countrycode": {"NaN": "NaN", "49": "of-another-type", "true": "of-another-type", '["US"]': "of-another-type"},
    "timestamp": {
        '""': "empty",
        **dict.fromkeys(("NaN", "Infinity", "-Infinity"), "NaN"),
        **dict.fromkeys(("true", "{}", "[1714557600000]"), "of-another-type"),
        **dict.fromkeys(
            ("0", "-1", "20170302", "631151999", "4102444800", "1e300", "1e400", "-1488497110.5"), "unreadable"
        ),
        **dict.fromkeys(("4102444800000000000", "9223372036854775808", "631151999999", "123456789012.5"), "unreadable"),
        **{
            f'"{text}"': "unreadable"
            for text in (
                *("yesterday", "2017-02-29 00:00:00 UTC", r"2017-03-02 23:25:10 UT\u0043", "2017-13-02 23:25:10 UTC"),
                *("0001-01-01T00:00:00+01:00", "9999-12-31 23:59:59.5-00:01"),
                *("0000-03-02 23:25:10 UTC", "2017-04-31 23:25:10.07453 UTC", "2017-03-02 24:00:00.00000 UTC"),
                *("2016-12-31 23:59:60 UTC", "2017-03-02 23:25:10.0123456789 UTC", "2017-03-02 23:25:10. UTC"),
                *("2017/03/02 23:25:10.07453 UTC", "2017-03-02 23.25.10.07453 UTC", "2017-03-02 23:25:10.07453 UTD"),
                *("\N{FULLWIDTH DIGIT TWO}017-03-02 23:25:10.07453 UTC", " 2017-03-02 23:25:10.07453 UTC", "2017-03"),
                *(
                    "2017-03-02 23:25:10.07453 UTC ",
                    "2017-03-02 23:25:10+24:00",
                    "2017-03-02 23:25:10+02:60",
                    "2017-03-02T",
                ),
                *("2017-03-02 23:25:10+2", "2017-03-02T", "2017-03-02 23:25:10+02:0", "2017-03-02 23:25", "20170302"),
            )
        },
    },
    "recognized": {
        '""': "empty",
        "NaN": "NaN",
        **dict.fromkeys(
            ("2", "-1", "0.5", "10", "1e0", "1.01", '"yes"', '"1."', '"Tru"', '"nope!"', '"null"'), "unreadable"
        ),
        **dict.fromkeys(("[true]", "{}"), "of-another-type"),
    },
    "key_id": {
        '""': "empty",
        "NaN": "NaN",
        **dict.fromkeys(
            ("-5", "-0", "1.5", "9007199254740992.0", "18446744073709551616", "1e400", "1e16"), "unreadable"
        ),
        **dict.fromkeys(("true", "[1]", "{}"), "of-another-type"),
    },
}
# Of the same fields, JSON in other forms than Google's, with the value: microseconds since 1970 of a timestamp.
READ: dict[str, dict[str, object]] = {
    "recognized": {
        **dict.fromkeys(("1", "1.0", "1.00", '"1"', '"1.0"', '"True"', '"true"', '"TRUE"'), True),
        **dict.fromkeys(("0", "0.0", '"0"', '"False"', '"false"', '"FALSE"', "false"), False),
    },
    "timestamp": {
        **dict.fromkeys(("1714557600001", "1714557600001.0", "1.714557600001e12"), 1714557600001000),
        **dict.fromkeys(("1714557600", "1714557600000000", "1714557600000000999"), 1714557600000000),
        "1714557600.5": 1714557600500000,
        "631152000": 631152000000000,
        "4102444799999": 4102444799999000,
        **dict.fromkeys(('"2017-03-02"', '"2017-03-02T00:00:00Z"', '"2017-03-02 02:00:00+02:00"'), 1488412800000000),
        **dict.fromkeys(('"2017-03-02 02:00:00 +0200"', '"2017-03-01T18:30:00-0530"'), 1488412800000000),
        **dict.fromkeys(('"2017-03-02T09:00:00+09"', '"2017-03-02 00:00:00.000000+00:00"'), 1488412800000000),
        '"2017-03-08 21:12:07.266040"': 1489007527266040,
    },
    "key_id": {
        **dict.fromkeys(("4.5e15", "4500000000000000.0", '"4500000000000000"'), 4500000000000000),
        "0.0": 0,
        "1e5": 100000,
        r'"520\u0031"': 5201,
        '"user-0"': 8188522848524297003,
        r'"user\u002d0"': 8188522848524297003,
        '"18446744073709551616"': 4703322702048383463,
    },
}
