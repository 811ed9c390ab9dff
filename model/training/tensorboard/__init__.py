"""A training as TensorBoard shows it."""
