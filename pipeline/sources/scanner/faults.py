"""The error codes that kernels give for a rejected line, because a kernel cannot raise an exception.

A kernel's argument `fault`, (4,) int64, receives one of these codes and up to three numbers that the error's message
shows. `rejects.py` holds the message of each code.
"""

# JSON itself.
SYNTAX, TRUNCATED, NOT_UTF8, CONTROL, ESCAPE, SURROGATE, NUMBER, DEPTH = range(1, 9)
# The object, and fields other than the drawing.
NOT_OBJECT, TWICE, MISSING, WRONG_TYPE, EMPTY_WORD, LONG_WORD = range(20, 26)
# The drawing.
NO_STROKES, NOT_STROKE, LIST_COUNT, RAW_STROKE, NO_POINTS, LENGTHS, NOT_INTEGER, OUT_OF_RANGE, TOO_MANY = range(30, 39)
TOO_LONG = 40
# A drawing of another shape. OTHER_SHAPE's number is one of the shapes below; those of FIELD are stroke, axis and
# whether the field appears twice.
OTHER_SHAPE, THREES, FIELD = range(41, 44)
# A raw drawing. The numbers of the first two codes are stroke, axis and offset in the line; of TIMES stroke, points and
# times; of RAW_LISTS stroke and lists (4 for any number above 3); of LONG_PATH the limit.
NOT_NUMBER, NOT_FINITE, TIMES, RAW_LISTS, LONG_PATH = range(50, 55)
# No error: the line must be read by the kernel for all forms.
OTHER_FORM = 60

# What one stroke is: lists of x, y and times; of x and y; [x, y] points; an object of lists; objects that are points;
# points of three numbers. The last two are of a whole drawing: lists of numbers without strokes, three each or not.
RAW, LISTS, PAIRS, LIST_OBJECTS, POINT_OBJECTS, TRIPLES, NO_STROKE, NO_STROKE_TRIPLES = range(8)

FIELDS = ("word", "countrycode", "timestamp", "recognized", "key_id", "drawing")
WORD, COUNTRYCODE, TIMESTAMP, RECOGNIZED, KEY_ID, DRAWING, UNKNOWN = range(7)

# What is noted of a line that is accepted, in the bits of one number. The lowest 16 are four for each of the fields
# COUNTRYCODE to KEY_ID: why its value was read as null.
UNREADABLE, EMPTY, NOT_A_NUMBER, OTHER_TYPE = range(4)
CANVAS = 1 << 16  # the coordinates are neither raw nor whole and in 0-255, and were simplified
TWO_EACH, THREE_EACH = 1 << 17, 1 << 18  # every stroke has two points, or three, so that it could be a list of points
POINTS = 1 << 19  # every stroke is a list of [x, y] points, which no list of x and list of y can be
LONG_COUNTRYCODE, LONG_KEY_ID = 1 << 21, 1 << 22  # the value is longer than its limit and was read as null
