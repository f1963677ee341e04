"""Optical measures of a picture, and which values are usual for a product: pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

Colour = tuple[float, float, float]
"""Blue, green and red."""

LEAST_CONTRAST = 12
"""The smallest rise of an edge, in grey levels."""
SPREADS = 2.0
"""How many times the spread of good pictures still counts as usual, because lamps drift."""
_NORMAL = 1.4826
"""The ratio of standard deviation and median deviation of a normal distribution."""


class Measure(StrEnum):
    """Optical measures that are compared with usual values. A closed list."""

    FOCUS = "focus"
    LIGHT = "light"
    COLOUR = "colour"
    NOISE = "noise"
    PLACE = "place"
    """The place of the fixed mark in the picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optics:
    """The measures of one picture, of the part that its unit is in."""

    blur_px: float | None
    """Sigma of the Gaussian that would make its edges as flat as they are, about right from 3 to 7
    pixels, and at least 2.4; None where there is no edge that says so."""
    clipped: float
    """Share of the pixels that are as bright as can be, the mean of the colours."""
    darkest: int
    """Grey level below which 1 % of its pixels are."""
    bright: int = 0
    """Grey level above which 10 % of its pixels are: that of a board's laminate, however much
    copper it has."""
    contrast: int = 0
    """Height of its highest edge, in grey levels."""
    colour: Colour = (0.0, 0.0, 0.0)
    """The mean of each channel, in grey levels."""
    noise: float = 0.0
    """Standard deviation of the noise of single pixels, in grey levels."""
    structure: int = 255
    """Grey levels by which anything in it rises, along rows or across them: never less than
    `contrast`, and more where a surface is brushed along the rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpticsBaseline:
    """What is usual for the pictures of one product by one camera."""

    camera: str
    pictures: int
    """How many pictures it was made of."""
    blur_px: float | None
    contrast: int
    """The lowest of these pictures."""
    bright: float
    bright_spread: float
    """Standard deviation, as a share of it."""
    colour: Colour
    noise: float
    since_unix_s: float = 0.0
    """When the last of these pictures was taken."""
    vouched: bool = False
    """A person said that these pictures were good: those of a lesson, or after a renewal."""
    settled: bool = False
    """Nobody said so, and many pictures followed that were like these."""

    @property
    def refuses(self) -> bool:
        """Whether a picture that shows much less than these is refused, and not only warned of."""
        return self.vouched or self.settled


def baseline_of(
    pictures: Sequence[Optics], *, camera: str, since_unix_s: float = 0.0, vouched: bool = False
) -> OpticsBaseline | None:
    """The usual values if these are good; None if they show nothing to compare with."""
    lit = [picture for picture in pictures if shows_something(picture)]
    if not lit:
        return None
    bright = median(picture.bright for picture in lit)
    blurs = [picture.blur_px for picture in lit if picture.blur_px is not None]
    return OpticsBaseline(
        camera=camera,
        pictures=len(lit),
        blur_px=median(blurs) if blurs else None,
        contrast=min(picture.contrast for picture in lit),
        colour=(
            median(picture.colour[0] for picture in lit),
            median(picture.colour[1] for picture in lit),
            median(picture.colour[2] for picture in lit),
        ),
        bright=bright,
        bright_spread=_spread([picture.bright / bright for picture in lit]),
        noise=median(picture.noise for picture in lit),
        since_unix_s=since_unix_s,
        vouched=vouched,
    )


def shows_something(picture: Optics) -> bool:
    """Whether it has an edge and light: other pictures say nothing about usual values."""
    return picture.bright > 0 and picture.contrast >= LEAST_CONTRAST


def tint(found: Colour, usual: Colour) -> float:
    """The largest relative change of a colour's share of the light."""
    found_sum, usual_sum = sum(found), sum(usual)
    if not (found_sum > 0 and usual_sum > 0):
        return 0.0
    shares = [
        (of_found / found_sum) / (of_usual / usual_sum)
        for of_found, of_usual in zip(found, usual, strict=True)
        if of_usual > 0
    ]
    return max((abs(share - 1) for share in shares), default=0.0)


def _spread(values: Sequence[float]) -> float:
    """The standard deviation, from the median deviation: one odd picture does not count."""
    middle = median(values)
    spread = _NORMAL * median(abs(value - middle) for value in values)
    return spread if math.isfinite(spread) else 0.0
