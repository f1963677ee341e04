"""Ultralytics over `grpc://`."""
