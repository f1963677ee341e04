"""Labelled data sets as they are found in the world, opened as boards."""
