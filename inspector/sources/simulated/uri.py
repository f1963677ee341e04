"""A simulated line, as a `source` setting names it: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from inspector.simulation.options import Pace, parse_options
from inspector.sources.uri import SourceText, SourceTraits, SourceUri

if TYPE_CHECKING:
    from inspector.sources.opening import Opening
    from inspector.sources.simulated.line import SimulatedLine

_NS_PER_S = 1_000_000_000
SIZE = (1280, 720)
"""The default size of a simulated line, which has none of its own."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SimulatedUri(SourceUri):
    """A simulated line."""

    example: ClassVar[str] = "sim:"

    options: Mapping[str, str]
    """As they were written; `inspector.simulation.options` documents them."""

    @classmethod
    def parse(cls, text: SourceText) -> Self:
        """`sim:[?view=strobe&seed=7]`."""
        before, _, query = text.rest.partition("?")
        if before:
            raise text.malformed("nothing, or options after a question mark: sim:?seed=7")
        options = text.options(query, accepted=None)
        parse_options(options)
        return cls(options=options)

    @property
    def traits(self) -> SourceTraits:
        """Without a pace it makes its frames as they are read."""
        waits = parse_options(self.options).pace is Pace.MAX
        return SourceTraits(realtime=not waits, simulated=True, replayed=False)

    def make_source(self, opening: Opening) -> SimulatedLine:
        """The line."""
        from inspector.sources.simulated.line import SimulatedLine  # noqa: PLC0415 - OpenCV

        return SimulatedLine(opening.camera_id, self.options, opening.size or SIZE, opening.stop)

    def probe_size(self, opening: Opening) -> tuple[int, int]:
        """The default size: any would do."""
        del opening
        return SIZE

    def probe_interval_ns(self) -> int | None:
        """The interval by its options."""
        return round(_NS_PER_S / parse_options(self.options).fps)

    def __str__(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in self.options.items())
        return f"sim:?{query}" if query else "sim:"
