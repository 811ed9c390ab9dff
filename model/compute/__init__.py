"""What runs on a device: choosing devices, compiling steps, feeding batches."""
