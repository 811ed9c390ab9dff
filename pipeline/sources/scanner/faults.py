"""What can be wrong with a line, as numbers: kernels cannot raise. `rejects.py` puts each into words.

A fault is (4,) int64: one of these codes, and up to three numbers that its sentence shows.
"""

# JSON itself.
SYNTAX, TRUNCATED, NOT_UTF8, CONTROL, ESCAPE, SURROGATE, NUMBER, DEPTH = range(1, 9)
# The object, and fields other than the drawing.
NOT_OBJECT, TWICE, MISSING, WRONG_TYPE, EMPTY_WORD, BAD_TIMESTAMP, BAD_KEY_ID = range(20, 27)
# The drawing.
NO_STROKES, NOT_STROKE, LIST_COUNT, RAW_STROKE, NO_POINTS, LENGTHS, NOT_INTEGER, OUT_OF_RANGE, TOO_MANY = range(30, 39)
TOO_LONG = 40
# A raw drawing. The numbers of the first two are stroke, axis and place, of TIMES stroke, points and times, of
# RAW_LISTS stroke and lists (4 for all above 3), of LONG_PATH its limit.
NOT_NUMBER, NOT_FINITE, TIMES, RAW_LISTS, LONG_PATH = range(50, 55)

MAX_DEPTH = 64
MAX_POINTS = 65_535  # a shard keeps the ends of strokes as uint16
MAX_LINE_BYTES = 1 << 20  # Google's longest raw line has 37,210

FIELDS = ("word", "countrycode", "timestamp", "recognized", "key_id", "drawing")
WORD, COUNTRYCODE, TIMESTAMP, RECOGNIZED, KEY_ID, DRAWING, UNKNOWN = range(7)
