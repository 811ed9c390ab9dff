"""What runs on a device: devices, compiled steps, the feed of batches."""
