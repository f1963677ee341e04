"""Kinds of model outputs: a file for each, and their list in `registry`."""
