"""The built-in sample: synthetic doodles, the same on every machine."""
