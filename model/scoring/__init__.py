"""What a trained run is worth, and what it says of drawings."""
