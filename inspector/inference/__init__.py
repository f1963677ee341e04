"""Asks Triton: requests in flight, tensors, and whether the model fits the settings."""
