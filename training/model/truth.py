"""Marks in a list of classes that name no class; apart, so that samples need no torch."""

IGNORED = -1
"""A defect mostly cut off by the picture's edge: neither right nor wrong."""
NOTHING = -2
"""Filling, where a batch's lists of defects differ in length."""
