"""A thread per camera: reads it, judges whether its pictures are fit, hands frames on."""
