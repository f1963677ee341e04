"""What lies on a belt, as a virtual photo-eye sees and remembers it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from inspector.triggers.presence.passage import Passage


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of the view, along the travel, where something lies on the belt."""

    start_px: float
    end_px: float
    sharpness: float = 0.0
    """Any number that grows with sharpness and is comparable between frames of one unit."""
    cut: bool = False
    """It reaches beyond a side of the view, across the travel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One frame, as the barrier sees it."""

    at_ns: int
    """Monotonic, of its capture."""
    spans: tuple[Span, ...] | None
    """What lies on the belt, sorted along the travel, apart from one another.

    None: the picture says nothing (the light is off). Nothing is concluded then.
    """
    moved_px: float | None = None
    """How far what is seen says that the belt went since the sight before; None: it does not."""


class Way(Enum):
    """How something left the view."""

    ONWARD = auto()
    BACK = auto()
    TAKEN = auto()
    """It vanished from inside the view, or nobody saw where it went."""
    MERGED = auto()
    """It is seen as one with another."""


@dataclass(slots=True, kw_only=True, eq=False)
class Track:
    """One thing on the belt."""

    tail_px: float | None
    """None while it is hidden before the border of entry, and its length is not known."""
    lead_px: float | None
    """None while it is hidden behind the border of exit, and its length is not known."""
    length_px: float | None = None
    """None until both ends were seen at once."""
    span: Span | None = None
    """Where it is seen in the latest sight, if it is, and nothing else with it."""
    was_seen: bool = False
    """It was, in the sight before."""
    sights: int = 0
    longest_px: float = 0.0
    """The most that was seen of it at once."""
    seen_ns: int = 0
    first: Span | None = None
    """Where it was first seen."""
    entered: bool = False
    """It came in over the border of entry, before our eyes."""
    spanning: int = 0
    """Sights in a row in which it reached over both borders."""
    way_px: float = 0.0
    """How far its edges were seen to go."""
    passage: Passage | None = None

    @property
    def tail(self) -> float:
        """Where it ends, as a number that compares."""
        return float("-inf") if self.tail_px is None else self.tail_px

    @property
    def lead(self) -> float:
        """Where it begins, as a number that compares."""
        return float("inf") if self.lead_px is None else self.lead_px

    def move(self, by_px: float) -> None:
        """The belt moved."""
        if self.tail_px is not None:
            self.tail_px += by_px
        if self.lead_px is not None:
            self.lead_px += by_px


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a sight changed."""

    new: tuple[Track, ...]
    gone: tuple[tuple[Track, Way], ...]
    blind: bool
    """No frame was seen for a while before: what is new may have come in any way."""
    jumped: int = 0
    """Things that are gone from where they must be, while others are where none can have come."""
    missed_view: bool = False
    """No frame was seen for so long that a running belt went the whole view."""
