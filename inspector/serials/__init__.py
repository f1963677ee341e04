"""Reads codes on units, and decides their serials."""
