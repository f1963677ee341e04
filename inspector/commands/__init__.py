"""The commands behind `inspector`, one module each."""
