"""What a coded picture says of itself and of those it is drawn from: records, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol


class Start(Enum):
    """Whether decoding can begin with a picture."""

    NO = auto()
    CLEAN = auto()
    """With it, and nothing shown after it is drawn from anything before it."""
    GRADUAL = auto()
    """It begins a refresh in parts; the picture that ends it says `refreshed_over`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """One picture of a packet, in the order of decoding."""

    sequence: int | None = None
    """Which run of numbers `order` belongs to: it begins anew at some key frames."""
    order: int | None = None
    """Its place in the order of showing; None where the stream does not number its pictures."""
    rank: int | None = None
    """Sorts pictures in the order of showing where that is all there is to tell: no counting."""
    start: Start = Start.NO
    refreshed_over: int | None = None
    """A gradual refresh is complete with this picture; it took so many pictures."""
    alone: bool = False
    """No part of it is drawn from another picture."""
    is_sealed: bool = False
    """A packet holds it whole, or nothing of it is passed on."""
    leading: bool = False
    """Shown before the key frame that it follows, and drawn from pictures before that."""
    gap: str = ""
    """What is missing before it; nothing where all that it is drawn from came."""
    torn: str = ""
    """What is missing of itself."""
    spoils: bool = True
    """What follows may be drawn from it, or from what is missing before it."""
    is_numbered: bool = False
    """A picture missing before it that others are drawn from would have shown."""


class PictureReader(Protocol):
    """Reads one stream's packets: what each holds of pictures. Pure, but remembers."""

    def read(self, packet: bytes, *, is_key: bool) -> Coded | None:
        """Tell of the packet's picture; None where it begins none (second field, settings).

        `is_key`: the container calls it a key frame.
        """


class Refreshes:
    """The gradual refreshes under way: one may begin before the last is complete."""

    def __init__(self) -> None:
        self._under_way: list[list[int]] = []
        """Steps still to go, and pictures so far."""

    def begin(self, steps: int) -> None:
        """One begins with the picture that `go_on` is told of next."""
        self._under_way.append([steps, 0])

    def stop(self) -> None:
        """A key frame makes them needless."""
        self._under_way.clear()

    def go_on(self, steps: int) -> int | None:
        """Take a picture, so many steps on; returns how many the refresh that it ends took."""
        complete: int | None = None
        for refresh in self._under_way:
            # Steps count from the picture that begins it.
            refresh[0] -= steps if refresh[1] else 0
            refresh[1] += 1
            if refresh[0] <= 0:
                complete = min(complete or refresh[1], refresh[1])
        self._under_way = [refresh for refresh in self._under_way if refresh[0] > 0]
        return complete
