"""Exports a run as a file for use in another program."""
