"""Turns replies into one verdict per unit."""
