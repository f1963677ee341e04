"""A network camera: its connection, its clock, its refusals, what it lost."""
