"""Shards: the stored form of a shuffled, split and labelled set of drawings."""
