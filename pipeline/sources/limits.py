"""The limits of what is read from sources, so that memory does not follow what a file claims.

docs/shards.md has them in one table, with what happens above each. None was reached by a file of Google's or Kaggle's.
"""

MAX_LINE_BYTES = 1 << 20  # Google's longest raw line has 37,210 bytes
MAX_WORD_BYTES = 256  # of UTF-8; Google's longest word has 21
MAX_COUNTRYCODE_BYTES = 8  # of UTF-8; Google's have 2
MAX_KEY_ID_BYTES = 256  # of UTF-8, of a key_id that is a text and no number
MAX_RAW_POINTS = 100_000  # of a drawing before it is simplified
MAX_POINTS = 65_535  # of a drawing in a shard, which stores the ends of strokes as uint16; no stroke is without points
MAX_DEPTH = 64  # levels of JSON
MAX_WINDOW_BYTES = 1 << 27  # what `zstd --long=27` needs, and the most that `zstd -d` accepts without an option
MAX_CLASSES = 1 << 16  # distinct words of a build, because labels are uint16
MAX_COUNTRYCODES = 1 << 16  # distinct country codes of a build
