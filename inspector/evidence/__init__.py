"""Pictures of units on disk, and for how long."""
