"""The durable log that every event enters before it is published."""
