"""Drawings to images: the one renderer, its encodings, and augmentation before it."""
