"""Fits the weights: samples in batches, losses, steps, and a look at the progress."""
