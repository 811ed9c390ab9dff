"""Scores a trained run on shards, and predicts drawings with it."""
