"""From Quick, Draw! strokes to shards, and from shards to batches of rendered images. Knows no JAX."""
