"""The built-in sample: synthetic drawings, identical on every machine."""
