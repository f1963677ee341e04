"""A camera that answered a discovery: pure."""

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
    """Its address in the network, or on the bus."""
    state: str = ""
    """Whether it can be used, and what holds it."""
    formats: tuple[str, ...] = ()
    """Pixel formats, or how a stream is coded."""
    size: tuple[int, int] | None = None
    """Width and height in pixels of its pictures, as it is set now."""
