"""Finds units that pass a free-running camera, and chooses their frames."""
