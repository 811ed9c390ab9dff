"""A run as a file for somebody's app."""
