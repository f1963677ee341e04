"""One verdict per unit: cameras in, NVIDIA Triton inspects, Redis Streams out."""

__version__ = "0.1.0"
