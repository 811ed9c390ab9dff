"""A run trained: epochs, checkpoints, sweeps, what TensorBoard is told."""
