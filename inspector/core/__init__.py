"""What all packages share: records, ports, errors, geometry, faults."""
