"""What every room shares: the nouns, the seams, errors, geometry, faults.."""
