"""A thread per camera: reads it, judges whether its pictures are fit, passes frames on."""
