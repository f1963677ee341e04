"""What can be measured of a picture as such, and what is usual for a product: pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

Colour = tuple[float, float, float]
"""Blue, green and red."""

SPREADS = 5.0
"""So many times what good pictures differ among themselves is usual as well."""
_NORMAL = 1.4826
"""Of a normal distribution, the standard deviation over the median deviation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optics:
    """The measures of one picture, of the part that its unit is in."""

    blur_px: float | None
    """Sigma of the Gaussian that would make its edges as flat as they are, about right from 3 to 7
    pixels, and at least 2.4; None where there is no edge that says so."""
    clipped: float
    """Share of the pixels that are as bright as can be, the mean of the colours."""
    darkest: int
    """Grey level below which only a hundredth of it lies."""
    bright: int = 0
    """Grey level that a tenth of it is above: that of a board's laminate, however much copper."""
    contrast: int = 0
    """Grey levels by which its highest edge rises."""
    colour: Colour = (0.0, 0.0, 0.0)
    """The mean of each channel, in grey levels."""
    noise: float = 0.0
    """Standard deviation of the noise of single pixels, in grey levels."""
    across_px: float | None = None
    """Where the middle of the unit lies across the travel; None where its place is not known."""

    @property
    def light(self) -> float:
        """The mean grey level."""
        blue, green, red = self.colour
        return 0.114 * blue + 0.587 * green + 0.299 * red


@dataclass(frozen=True, slots=True, kw_only=True)
class OpticsBaseline:
    """What is usual for the pictures of one product by one camera."""

    camera: str
    pictures: int
    """How many it was made of."""
    blur_px: float | None
    contrast: int
    """The lowest of these pictures."""
    colour: Colour
    light_spread: float
    """Standard deviation of the light, as a share of it."""
    noise: float
    across_px: float | None = None
    across_spread_px: float = 0.0
    vouched: bool = False
    """A person said that these pictures were good: those of a lesson, or after a renewal."""

    @property
    def light(self) -> float:
        """The mean grey level."""
        blue, green, red = self.colour
        return 0.114 * blue + 0.587 * green + 0.299 * red


def baseline_of(
    pictures: Sequence[Optics], *, camera: str, vouched: bool = False
) -> OpticsBaseline | None:
    """What is usual where these are good; None where they show nothing to compare with."""
    lit = [picture for picture in pictures if picture.light > 0 and picture.contrast > 0]
    if not lit:
        return None
    light = median(picture.light for picture in lit)
    blurs = [picture.blur_px for picture in lit if picture.blur_px is not None]
    across = [picture.across_px for picture in lit if picture.across_px is not None]
    middle = median(across) if across else None
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
        light_spread=_spread([picture.light / light for picture in lit]),
        noise=median(picture.noise for picture in lit),
        across_px=middle,
        across_spread_px=_spread(across) if across else 0.0,
        vouched=vouched,
    )


def tint(found: Colour, usual: Colour) -> float:
    """By which share the colour whose part of the light changed most did so."""
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
