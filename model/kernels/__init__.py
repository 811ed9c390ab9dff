"""Kernels of training steps on the CPU: convolutions, batch norm and pooling, forward and backward, in numba."""
