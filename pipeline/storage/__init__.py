"""Files written as a whole, sets of files that are put in place at once, sealed JSON, and locks."""
