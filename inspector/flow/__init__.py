"""Buffers and queues between threads and stages, and the one place where load is shed."""
