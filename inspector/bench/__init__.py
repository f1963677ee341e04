"""What this machine carries, measured: `inspector bench`, and our side of `make bench`."""
