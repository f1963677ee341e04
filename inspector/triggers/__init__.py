"""Decides when there is a unit: every frame, a signal from outside, or one in view."""
