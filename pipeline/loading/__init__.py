"""Shards to batches: the order of an epoch, and images rendered ahead of the caller."""
