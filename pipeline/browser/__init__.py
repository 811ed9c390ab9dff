"""Compiles kernels to WebAssembly, so that a page in a browser runs the very code that trains and predicts."""
