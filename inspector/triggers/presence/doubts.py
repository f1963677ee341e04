"""Whether a presence trigger can trust what its camera shows, and if not, why: pure."""

from __future__ import annotations

from dataclasses import dataclass

_MEMORY = 0.02
"""Share that one picture has in what is judged: some two seconds at 25 pictures a second."""
_FASTER, _SLOWER = 0.3, 0.02
"""The same for how far the belt goes. Boards that look alike on a belt that is too fast are soon
taken for one another, and seem to go slowly: the first pictures count for more."""
_CLEARED = 0.6
"""A doubt that stands goes when its measure falls below this share of its limit."""
FASTEST_SHARE = 0.15
"""Of the view from one picture to the next: measured, 0.1 loses no unit however short and close
to the next; 0.2 loses those that are shorter than twice the way and close to the next."""
_BANDS_SHARE = 0.015
"""Of the light of a row, from one picture to the next: measured, bands of 4 % make it 0.02."""
_RESTLESS_SHARE = 0.01
_STUCK_SHARE = 0.04
"""Of the view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What one picture says of how far it can be trusted; all of them shares."""

    moved: float | None
    """How far the belt went, of the view; None where nothing says so."""
    bands: float
    """By how much the light of a row changes against that of the others."""
    restless: float
    """Of the view, that changes by itself."""
    stuck: float
    """Of the view, that shows something which does not go with the belt."""


_TOO_FAST = (
    "units go {:.0%} of the view from one picture to the next, and may be missed: more pictures"
    " a second, or a longer view"
)
_BANDS = (
    "the light of the rows changes by {:.1%} from one picture to the next: lamps that flicker with"
    " the mains, or an exposure that does not fit them"
)
_RESTLESS = (
    "{:.0%} of the view changes by itself: a clock in the picture, a lamp that is mirrored,"
    " a machine that moves; units are not seen there"
)
_STUCK = (
    "{:.0%} of the view shows something that does not go with the belt: dirt on the lens, text in"
    " the picture, something in the way"
)


class Doubts:
    """One camera's; one thread."""

    def __init__(self) -> None:
        self._moved = self._bands = self._restless = self._stuck = 0.0
        self._stands = ""
        self.cause = ""
        """Why units may be missed or judged wrongly; empty while nothing says so."""
        self._just_moved = 0.0

    @property
    def is_too_fast(self) -> bool:
        """A unit may lie between the latest picture and the one before."""
        return self._just_moved > FASTEST_SHARE or self._stands == _TOO_FAST

    def see(self, signs: Signs) -> None:
        """Take the next picture's."""
        self._just_moved = abs(signs.moved or 0.0)
        if signs.moved:  # a belt says how fast it goes only while something lies on it
            farther = abs(signs.moved) - self._moved
            self._moved += farther * (_FASTER if farther > 0 else _SLOWER)
        self._bands += (signs.bands - self._bands) * _MEMORY
        self._restless += (signs.restless - self._restless) * _MEMORY
        self._stuck += (signs.stuck - self._stuck) * _MEMORY
        for measure, limit, words in (
            (self._moved, FASTEST_SHARE, _TOO_FAST),
            (self._bands, _BANDS_SHARE, _BANDS),
            (self._restless, _RESTLESS_SHARE, _RESTLESS),
            (self._stuck, _STUCK_SHARE, _STUCK),
        ):
            held = self._stands == words
            if measure > limit * (_CLEARED if held else 1):
                if not held:
                    self._stands, self.cause = words, words.format(measure)
                return
        self._stands = self.cause = ""
