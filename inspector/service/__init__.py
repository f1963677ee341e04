"""What surrounds a running pipeline: servers, systemd, faults, reloading, the host."""
