"""How good a detector is on the test part of a data set, and how fast."""
