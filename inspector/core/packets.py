"""How a camera's stream came over the network: pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Packets:
    """Packets of one connection, counted since it was opened."""

    size_bytes: int
    received: int
    sent_again: int
    """Came only after they were asked for again."""
    frames_whole: int
    frames_broken: int
    """Some of their packets never came."""

    def since(self, before: Packets) -> Packets:
        """Those that came, or did not, after `before`."""
        return Packets(
            size_bytes=self.size_bytes,
            received=self.received - before.received,
            sent_again=self.sent_again - before.sent_again,
            frames_whole=self.frames_whole - before.frames_whole,
            frames_broken=self.frames_broken - before.frames_broken,
        )
