"""Files written whole, sets of files that take their place at once, sealed JSON, and locks."""
