"""The durable log that every event enters before anybody else sees it."""
