"""Where drawings come from: every module here turns one kind of input into `pipeline.drawings.Drawings`."""
