"""The detector: its network, what goes in and comes out, and the files it is kept in."""
