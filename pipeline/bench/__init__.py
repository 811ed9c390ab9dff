"""Measures what this machine does in a second, stage by stage."""
