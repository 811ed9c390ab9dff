"""Pictures of drawings, traced to strokes: PNG, JPEG and WebP by thinning their lines, SVG by reading its paths."""
