"""More lines of ndjson that are not legal, by reason: each string, number and list that hostile input may bend."""

from tests.sources.ndjson_lines import DEEP, drawing, line

HOSTILE: dict[str, tuple[bytes, str, str]] = {}  # name: the line, its reason, its message
_HALF, _SYNTAX = "half of a surrogate pair", "not a valid JSON escape"
_VALUE = "stroke 1: x at column 137 is not a number"
for _reason, _lines in {
    # reason: name: the line, its message
    "wrong-type": {
        "a list as word": (line(word='["cat"]'), '"word" is not a string'),
        "an object as word": (line(word='{"cat":1}'), '"word" is not a string'),
        "single quotes": (line(word="'cat'"), '"word" is not a string'),
        "an object as drawing": (drawing('{"x":[1]}'), '"drawing" is not a list of strokes'),
        "a number as drawing": (drawing("7"), '"drawing" is not a list of strokes'),
    },
    "not-a-stroke": {
        "a list after an object": (drawing('[{"x":[1],"y":[2]},[[1],[2]]]'), "stroke 2 is not a list"),
        "an object after a list": (drawing('[[[1],[2]],{"x":[1],"y":[2]}]'), "stroke 2 is not a list"),
        "a stroke that is null": (drawing("[[[1],[2]],null]"), "stroke 2 is not a list"),
        "a comma too many between lists": (drawing("[[[1],,[2]]]"), "stroke 1: its y are not a list"),
        "a comma too many between strokes": (drawing("[[[1],[2]],]"), "stroke 2 is not a list"),
    },
    "not-a-number": {
        "a list as a value": (drawing("[[[[1]],[2]]]"), _VALUE),
        "an object as a value": (drawing("[[[{}],[2]]]"), _VALUE),
        "a deep drawing": (drawing("[" * DEEP + "]" * DEEP), _VALUE),
        **{f"{text} as a value": (drawing(f"[[[{text}],[2]]]"), _VALUE) for text in ("true", "+1", ",1")},
    },
    "field-twice": {
        "the countrycode twice": (line()[:-1] + b',"countrycode":"US"}', '"countrycode" appears twice'),
        "the timestamp twice, and null": (
            line(timestamp="null")[:-1] + b',"timestamp":null}',
            '"timestamp" appears twice',
        ),
        "recognized twice, once escaped": (line()[:-1] + rb',"recogn\u0069zed":true}', '"recognized" appears twice'),
    },
    "syntax": {
        "a hexadecimal value": (drawing("[[[0x1],[2]]]"), 'column 138: expected ",", found "x"'),
        "a list of values closed by a brace": (drawing("[[[1},[2]]]"), 'column 138: expected ",", found "}"'),
        "a drawing closed by a brace": (drawing("[[[1],[2]]}"), 'column 144: expected ",", found "}"'),
        "no comma between strokes": (drawing("[[[1],[2]][[3],[4]]]"), 'column 144: expected ",", found "["'),
        "no comma between lists": (drawing("[[[1][2]]]"), 'column 139: expected ",", found "["'),
        "a literal with a letter too many": (line(recognized="truee"), 'column 95: expected ",", found "e"'),
        "an unknown list with a comma too many": (line(extra="[1,]"), 'column 165: expected a value, found "]"'),
        "an unknown list closed by a brace": (line(extra="[1}"), 'column 164: expected ",", found "}"'),
        "an unknown object closed by a bracket": (line(extra='{"a":1]'), 'column 168: expected ",", found "]"'),
        "an unknown name without a value": (line(extra='{"a"}'), 'column 166: expected ":", found "}"'),
        "a number for a name": (line(extra="{1:2}"), 'column 163: expected a quotation mark, found "1"'),
        "an unknown NaN cut short": (line(extra="Na"), 'column 162: expected a value, found "N"'),
        "an unknown plus": (line(extra="+1"), 'column 162: expected a value, found "+"'),
        "an unknown number that begins with a point": (line(extra=".5"), 'column 162: expected a value, found "."'),
    },
    "bad-number": {
        "half of minus infinity": (line(extra="-Infinit"), "column 162: not a JSON number"),
        **{
            f"{text} as a value": (drawing(f"[[[{text}],[2]]]"), "column 137: not a JSON number")
            for text in ("00", "-01", "-", "007")
        },
    },
    "not-finite": {
        "1E400 as a value": (drawing("[[[1E400],[2]]]"), "stroke 1: x at column 137 is larger than any float64"),
    },
    "field-of-point": {"points that are an object": (drawing('[[{"0":1},[2]]]'), 'stroke 1: "x" is missing')},
    "lone-surrogate": {
        "half a pair as countrycode": (line(countrycode=r'"\udc00"'), f"column 30: {_HALF}"),
        "half a pair as timestamp": (line(timestamp=r'"\ud800"'), f"column 47: {_HALF}"),
        "half a pair in a nested string": (line(extra=r'[{"a":"\ud800x"}]'), f"column 169: {_HALF}"),
        "half a pair in a nested name": (line(extra=r'[{"\ude00":1}]'), f"column 165: {_HALF}"),
        "a pair cut by another escape": (line(word=r'"\ud83d\n"'), f"column 10: {_HALF}"),
        "two first halves of pairs": (line(word=r'"\ud83d\ud83d"'), f"column 10: {_HALF}"),
    },
    "bad-escape": {
        "a bad escape as countrycode": (line(countrycode=r'"\u00g0"'), f"column 30: {_SYNTAX}"),
        "a bad escape in a timestamp": (line(timestamp=r'"2017\-03-02"'), f"column 51: {_SYNTAX}"),
        "a bad escape in a name": (line()[:-1] + rb',"\a":1}', f"column 155: {_SYNTAX}"),
    },
    "control-character": {
        "a control character as countrycode": (
            line(countrycode='"\x1f"'),
            "column 30: control character 0x1f in a string",
        ),
        "a control character in a timestamp": (
            line(timestamp='"2017-03-02\x0123:25:10 UTC"'),
            "column 57: control character 0x01 in a string",
        ),
        "a control character in a name": (
            line()[:-1] + b',"\x1b":1}',
            "column 155: control character 0x1b in a string",
        ),
    },
}.items():
    HOSTILE.update({name: (text, _reason, message) for name, (text, message) in _lines.items()})
