"""Where events go besides Redis: what a kind of sink is, and which there are."""
