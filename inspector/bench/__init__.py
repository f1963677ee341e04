"""Measures what this machine can handle: `inspector bench`, and our side of `make bench`."""
