"""The report of a run: what its network says of a split, counted, drawn and set as one HTML page."""
