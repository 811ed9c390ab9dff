"""Google's 28 x 28 bitmaps, which have no strokes: from .npy files to folders of PNG."""
