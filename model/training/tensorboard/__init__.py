"""What a training writes for TensorBoard: curves, drawings and the confusion matrix."""
