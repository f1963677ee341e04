"""Finds units that pass a free-running picture, and chooses their frames."""
