"""Drawings to images: the only renderer, its encodings, and the augmentation before rendering."""
