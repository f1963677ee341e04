"""Judges the units that come out of the pipeline by the truth: `benchmarks/line_accuracy.py`."""
