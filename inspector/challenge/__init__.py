"""Known parts, with which the station proves that it can see."""
