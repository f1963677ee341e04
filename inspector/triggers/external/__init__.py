"""Triggers from outside, by Redis stream or HTTP: read, answered once, joined to a camera."""
