"""Keeps pictures of units on disk within a quota."""
