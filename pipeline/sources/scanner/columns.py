"""The columns of the scanner's output: the first index of `rows`, whose second index is the accepted line."""

LINE, START, END, WORD_START, WORD_END, COUNTRY_START, COUNTRY_END, ROW_RECOGNIZED, ROW_TIMESTAMP = range(9)
ROW_KEY, ROW_NOTES = 9, 10  # the kind of its key_id; the bits that `faults.py` names
ROW_COLUMNS = 11

NO_KEY, NUMBER_KEY, TEXT_KEY = range(3)  # of TEXT_KEY, `key_ids` holds where the text begins (upper half) and ends
