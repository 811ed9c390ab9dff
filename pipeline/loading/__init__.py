"""Reads batches from shards: the order of an epoch, and images rendered ahead of the caller."""
