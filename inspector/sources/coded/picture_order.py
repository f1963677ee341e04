"""What a coded picture says about itself and those it depends on: records only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol


class Start(Enum):
    """Whether decoding can begin with a picture."""

    NO = auto()
    CLEAN = auto()
    """Yes, and nothing shown after it depends on anything before it."""
    GRADUAL = auto()
    """It begins a gradual refresh; the picture that ends it says `refreshed_over`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """One picture of a packet, in the order of decoding."""

    sequence: int | None = None
    """Which run of numbers `order` belongs to; a new one begins at some key frames."""
    order: int | None = None
    """Its place in the order of showing; None if the stream does not number its pictures."""
    rank: int | None = None
    """Sorts pictures in the order of showing where that is all there is to tell: no counting."""
    start: Start = Start.NO
    refreshed_over: int | None = None
    """How many pictures the gradual refresh took that is complete with this one."""
    alone: bool = False
    """Whether it depends on no other picture."""
    is_sealed: bool = False
    """Whether a packet holds it whole, or nothing of it is passed on."""
    leading: bool = False
    """Whether it is shown before the key frame that it follows, and depends on earlier pictures."""
    gap: str = ""
    """What is missing before it; empty if everything that it depends on came."""
    torn: str = ""
    """What is missing of itself."""
    spoils: bool = True
    """Whether later pictures may depend on it, or on what is missing before it."""
    is_numbered: bool = False
    """Whether a missing reference picture before it would have been noticed."""


class PictureReader(Protocol):
    """Reads the pictures in one stream's packets. Pure, with a memory."""

    def read(self, packet: bytes, *, is_key: bool) -> Coded | None:
        """Describe the packet's picture; None if it begins none (second field, settings).

        `is_key`: the container calls it a key frame.
        """


class Refreshes:
    """The gradual refreshes in progress: one may begin before the last is complete."""

    def __init__(self) -> None:
        self._under_way: list[list[int]] = []
        """The remaining steps, and the pictures so far."""

    def begin(self, steps: int) -> None:
        """A sequence begins with the next picture passed to `go_on`."""
        self._under_way.append([steps, 0])

    def stop(self) -> None:
        """Forget them: a key frame makes them unnecessary."""
        self._under_way.clear()

    def go_on(self, steps: int) -> int | None:
        """Take a picture, this many steps on; returns how many the refresh that it ends took."""
        complete: int | None = None
        for refresh in self._under_way:
            # Steps count from the picture that begins it.
            refresh[0] -= steps if refresh[1] else 0
            refresh[1] += 1
            if refresh[0] <= 0:
                complete = min(complete or refresh[1], refresh[1])
        self._under_way = [refresh for refresh in self._under_way if refresh[0] > 0]
        return complete
