"""The surroundings of a running pipeline: servers, systemd, faults, reloading, the host."""
