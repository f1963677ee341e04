"""What optics the shipped networks can bear, and what the optics guard makes of the others."""
