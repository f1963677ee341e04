"""A camera that answered when somebody asked which ones there are: pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCamera:
    """What a camera says about itself."""

    source: str
    """As the `source` setting names it."""
    vendor: str = ""
    model: str = ""
    serial: str = ""
    address: str = ""
    """In the network, or on the bus."""
    state: str = ""
    """Whether it can be used, and who holds it."""
    formats: tuple[str, ...] = ()
    """Pixel formats, or how a stream is coded."""
    size: tuple[int, int] | None = None
    """Width and height in pixels of what it sends as it is set now."""
