"""One verdict per unit: cameras in, NVIDIA Triton inspects, Redis Streams out.

`docs/design.md` has the picture and the tree; `docs/developing.md` says where to find what, and
what runs on which thread.
"""

__version__ = "0.1.0"
