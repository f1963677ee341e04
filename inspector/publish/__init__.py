"""Delivers events from the journal to the sinks: delivery, pace, recovery."""
