"""Decides whether a presence trigger can trust its camera's pictures, and if not, why: pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, auto

_MEMORY = 0.02
"""The weight of one picture: it averages over about two seconds at 25 pictures a second."""
_FASTER, _SLOWER = 0.3, 0.02
"""The same for the belt's movement. Boards that look alike on a belt that is too fast are soon
mistaken for one another, and seem to move slowly: the first pictures count more."""
_CLEARED = 0.6
"""A doubt is cleared when its measure falls below this share of its limit."""
FASTEST_SHARE = 0.15
"""As a share of the view, from one picture to the next: measured, 0.1 loses no unit however short
and close to the next; 0.2 loses those that are shorter than twice the way and close to the next."""
_BANDS_SHARE = 0.015
"""As a share of the light of a row, from one picture to the next: measured, bands of 4 % make it
0.02."""
_RESTLESS_SHARE = 0.01
_STUCK_SHARE = 0.04
"""Of the view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """The measures of one picture's quality; all of them are shares."""

    moved: float | None
    """How far the belt moved, as a share of the view; None if unknown."""
    bands: float
    """How much the light of a row changes against that of the others."""
    restless: float
    """The share of the view that changes by itself."""
    stuck: float
    """The share of the view that shows something that does not move with the belt."""


class Cause(StrEnum):
    """The reasons why pictures are doubtful."""

    TOO_FAST = auto()
    BANDS = auto()
    RESTLESS = auto()
    STUCK = auto()


LIMITS = {
    Cause.TOO_FAST: FASTEST_SHARE,
    Cause.BANDS: _BANDS_SHARE,
    Cause.RESTLESS: _RESTLESS_SHARE,
    Cause.STUCK: _STUCK_SHARE,
}
"""The limits of the measures, in the order in which causes are reported."""
_WORDS = {
    Cause.TOO_FAST: (
        "units go {:.0%} of the view from one picture to the next, and may be missed: more pictures"
        " a second, or a longer view"
    ),
    Cause.BANDS: (
        "the light of the rows changes by {:.1%} from one picture to the next: lamps that flicker"
        " with the mains, or an exposure that does not fit them"
    ),
    Cause.RESTLESS: (
        "{:.0%} of the view changes by itself: a clock in the picture, a lamp that is mirrored,"
        " a machine that moves; units are not seen there"
    ),
    Cause.STUCK: (
        "{:.0%} of the view shows something that does not go with the belt: dirt on the lens, text"
        " in the picture, something in the way"
    ),
}


class Doubts:
    """The doubts about one camera; one thread."""

    def __init__(self) -> None:
        self._measures = dict.fromkeys(Cause, 0.0)
        self._stands: Cause | None = None
        self.cause = ""
        """Why units may be missed or judged wrongly; empty while nothing says so."""
        self._just_moved = 0.0

    @property
    def is_too_fast(self) -> bool:
        """Whether a unit may lie between the latest picture and the one before."""
        return self._just_moved > FASTEST_SHARE or self._stands is Cause.TOO_FAST

    @property
    def moved(self) -> float:
        """How far the belt moves between two pictures while it runs, as a share of the view."""
        return self._measures[Cause.TOO_FAST]

    def see(self, signs: Signs) -> None:
        """Take the measures of the next picture."""
        self._just_moved = abs(signs.moved or 0.0)
        if signs.moved:  # the speed of a belt shows only while something lies on it
            farther = self._just_moved - self.moved
            self._add(Cause.TOO_FAST, self._just_moved, _FASTER if farther > 0 else _SLOWER)
        self._add(Cause.BANDS, signs.bands)
        self._add(Cause.RESTLESS, signs.restless)
        self._add(Cause.STUCK, signs.stuck)
        for cause, limit in LIMITS.items():
            held = self._stands is cause
            measure = self._measures[cause]
            if measure > limit * (_CLEARED if held else 1):
                if not held:
                    self._stands, self.cause = cause, in_words(cause, measure)
                return
        self._stands, self.cause = None, ""

    def _add(self, cause: Cause, measure: float, share: float = _MEMORY) -> None:
        self._measures[cause] += (measure - self._measures[cause]) * share


def in_words(cause: Cause, measure: float) -> str:
    """The causes, and their measures."""
    return _WORDS[cause].format(measure)
