"""Destinations of events besides Redis: what a kind of sink is, and the list of kinds."""
