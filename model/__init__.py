"""Flax networks, their training, evaluation and use on the batches that `pipeline` feeds."""
