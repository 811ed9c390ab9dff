"""How XLA calls the kernels of `model.kernels`: a native function, the plans of its calls, and functions of JAX."""
