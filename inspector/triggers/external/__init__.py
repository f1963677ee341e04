"""Triggers from outside, by Redis stream or HTTP: reads them, answers each once, matches frames."""
