"""What says that there is a unit: every frame, something outside, or a unit that is seen coming."""
