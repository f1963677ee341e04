"""Known parts, on which the station proves that it can see."""
