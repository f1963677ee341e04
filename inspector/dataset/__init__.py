"""Data sets of the line's own pictures, as people confirmed, corrected and added to them."""
