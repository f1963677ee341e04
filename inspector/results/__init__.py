"""From replies to one verdict per unit."""
