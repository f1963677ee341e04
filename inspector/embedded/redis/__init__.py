"""A Redis for demo and tests."""
