"""Codes on units: read, agreed upon."""
