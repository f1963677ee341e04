"""A real Triton without Docker or GPU."""
