"""How every part speaks to Redis: URLs, connections, Sentinel and Cluster."""
