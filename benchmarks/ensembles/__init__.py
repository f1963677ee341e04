"""Which form of the ensemble is the fastest: `python -m benchmarks.ensembles`."""
