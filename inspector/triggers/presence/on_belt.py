"""The records of things on a belt, as a virtual photo-eye sees and remembers them."""

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
    """Whether it reaches beyond a side of the view, across the travel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One frame, as the photo-eye sees it."""

    at_ns: int
    """Its time of capture, monotonic."""
    spans: tuple[Span, ...] | None
    """The things on the belt, sorted along the travel, apart from one another. None: the picture
    shows nothing (the light is off). Nothing is concluded then.
    """
    moved_px: float | None = None
    """How far the belt moved since the sight before, by what is seen; None: unknown."""


class Way(Enum):
    """How something left the view."""

    ONWARD = auto()
    BACK = auto()
    TAKEN = auto()
    """It vanished from inside the view, or its way was not seen."""
    MERGED = auto()
    """It is seen as one with another."""


@dataclass(slots=True, kw_only=True, eq=False)
class Track:
    """One thing on the belt."""

    tail_px: float | None
    """None while it is hidden before the border of entry and its length is not known."""
    lead_px: float | None
    """None while it is hidden behind the border of exit, and its length is not known."""
    length_px: float | None = None
    """None until both ends were seen at once."""
    span: Span | None = None
    """Where it is seen alone in the latest sight, if it is."""
    was_seen: bool = False
    """Whether it was seen so in the sight before."""
    sights: int = 0
    longest_px: float = 0.0
    """The largest part of it seen at once."""
    seen_ns: int = 0
    first: Span | None = None
    """The place where it was first seen."""
    entered: bool = False
    """Whether it was seen to come in over the border of entry."""
    spanning: int = 0
    """The number of sights in a row in which it reached over both borders."""
    way_px: float = 0.0
    """How far its edges were seen to move."""
    passage: Passage | None = None

    @property
    def tail(self) -> float:
        """Its end, as a comparable number."""
        return float("-inf") if self.tail_px is None else self.tail_px

    @property
    def lead(self) -> float:
        """Its beginning, as a comparable number."""
        return float("inf") if self.lead_px is None else self.lead_px

    def move(self, by_px: float) -> None:
        """Move it with the belt."""
        if self.tail_px is not None:
            self.tail_px += by_px
        if self.lead_px is not None:
            self.lead_px += by_px


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The changes by one sight."""

    new: tuple[Track, ...]
    gone: tuple[tuple[Track, Way], ...]
    blind: bool
    """Whether no frame was seen for a while before: new things may have come in any way."""
    jumped: int = 0
    """Things that are gone from where they must be, while others are where none can have
    arrived."""
    missed_view: bool = False
    """Whether no frame was seen for so long that a running belt moved by the whole view."""
