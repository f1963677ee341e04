"""Access to Redis for all parts: URLs, connections, Sentinel and Cluster."""
