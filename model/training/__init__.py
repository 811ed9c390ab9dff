"""Trains runs: epochs, checkpoints, sweeps, events for TensorBoard."""
