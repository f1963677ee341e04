"""An industrial camera, as a `source` setting names it: pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from inspector.sources.uri import SourceText, SourceTraits, SourceUri

if TYPE_CHECKING:
    from inspector.sources.genicam.camera import GenicamSource
    from inspector.sources.opening import Opening

AUTO = "auto"
_SMALLEST_PACKET, _LARGEST_PACKET = 576, 16_000
"""Bytes: what every network carries, and more than any jumbo frame."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class GenicamUri(SourceUri):
    """A camera that speaks GigE Vision or USB3 Vision."""

    example: ClassVar[str] = "genicam:SERIAL"
    has_features: ClassVar[bool] = True

    name: str
    """Serial number, address, MAC address, the name a user gave it, or the library's id."""
    packet: int | None = None
    """Bytes of a packet of a network camera's stream; None finds out what gets through."""

    @classmethod
    def parse(cls, text: SourceText) -> Self:
        """`genicam:<serial, MAC, address or user name>[?packet=auto]`."""
        name, _, query = text.rest.partition("?")
        name = name.removeprefix("//").strip()
        if not name or not name.isprintable():
            raise text.malformed("a serial number, an address, a MAC address or a user name")
        options = text.options(query, accepted=("packet",))
        packet = options.get("packet", AUTO)
        if packet == AUTO:
            return cls(name=name)
        size = int(packet) if packet.isdecimal() and len(packet) < 6 else 0  # noqa: PLR2004
        if not _SMALLEST_PACKET <= size <= _LARGEST_PACKET:
            raise text.malformed(
                f"packet=auto or a size from {_SMALLEST_PACKET} to {_LARGEST_PACKET} bytes"
            )
        return cls(name=name, packet=size)

    @property
    def traits(self) -> SourceTraits:
        """It waits for nobody."""
        return SourceTraits(realtime=True, simulated=False, replayed=False)

    def make_source(self, opening: Opening) -> GenicamSource:
        """The camera, not opened yet."""
        from inspector.sources.genicam.camera import GenicamSource  # noqa: PLC0415 - NumPy

        return GenicamSource(self, opening)

    def probe_size(self, opening: Opening) -> tuple[int, int]:
        """Open it; a camera that waits for triggers says its size too."""
        from inspector.sources.opening import opened_size  # noqa: PLC0415 - NumPy

        return opened_size(self.make_source(replace(opening, size=None)))

    def advice(self, key: str) -> str:
        """What keeps an industrial camera from delivering."""
        return (
            "check its power and cable, that it is in this network (`inspector cameras` lists what "
            f"answers), that no other program holds it, or correct {key}.source"
        )

    def __str__(self) -> str:
        return f"genicam:{self.name}"
