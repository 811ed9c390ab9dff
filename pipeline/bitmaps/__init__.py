"""Folders of PNG files: of drawings, and of Google's 28 x 28 bitmaps, which have no strokes."""
