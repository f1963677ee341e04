"""Streams that others write and the station reads: each entry once, whatever Redis does."""
