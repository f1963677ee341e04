"""Reads the options of a `sim:` camera."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class View(StrEnum):
    """What the simulated camera shows."""

    BELT = "belt"
    STROBE = "strobe"


class Direction(StrEnum):
    """The direction of the boards in the picture of a belt."""

    LEFT = "left"
    RIGHT = "right"


class Pace(StrEnum):
    """When frames come: as from a camera, or as fast as they are asked for."""

    RECORDED = "recorded"
    MAX = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationOptions:
    """A simulated line: `sim:?view=strobe&seed=7` sets the fields of the same names.

    The same options and picture size give the same frames, byte for byte.
    """

    seed: int = 8
    """Decides the circuit, the defects and everything else that is drawn; 0 or more."""
    view: View = View.BELT
    """`belt`: boards move through a free-running picture. `strobe`: one sharp picture per board,
    fully in view, as from a camera with a hardware trigger."""
    fps: float = 30.0
    """Frames per second of a `belt` picture."""
    speed: float = 12.0
    """Pixels per frame that a `belt` moves."""
    gap: int = 260
    """Pixels between two boards on a `belt`, on average; each lies up to a quarter off."""
    direction: Direction = Direction.LEFT
    """`left` or `right`: where boards on a `belt` go."""
    takt_s: float = 2.5
    """Seconds between two boards of a `strobe` line."""
    defect_rate: float = 0.3
    """Share of boards with defects, 0 to 1; such a board has one to four."""
    boards: int = 0
    """The line ends after this many boards; 0 never ends."""
    products: int = 1
    """How many circuits are on the line."""
    change_every: int = 1
    """How many boards of a circuit come one after the other, before those of the next."""
    pause: int = 0
    """How many places for boards stay empty between circuits, while the line is changed over."""
    good_first: int = 0
    """How many boards after each change are without defects, for a reference to be taught."""
    quirks: int = 0
    """How many places of each circuit look like defects and are none: a single board does not show
    the difference."""
    variation: float = 0.0
    """How much boards of a circuit differ, 0 to 2: etching, tint, specks, where the label sticks,
    light that drifts; 1 is usual."""
    pace: Pace = Pace.RECORDED
    """`recorded`: as a camera would deliver. `max`: without waiting."""


def parse_options(options: Mapping[str, str]) -> SimulationOptions:
    """Return the options a camera's source names, with defaults for the rest.

    Raises:
        ValueError: an unknown option or a value out of range; one sentence, what was found and
            what is accepted.

    """
    unknown = sorted(set(options) - set(_READERS))
    if unknown:
        msg = (
            f"a simulated line has no option {', '.join(map(repr, unknown))};"
            f" accepted are {', '.join(_READERS)}"
        )
        raise ValueError(msg)
    values: dict[str, object] = {}
    for name, text in options.items():
        read, accepted = _READERS[name]
        try:
            values[name] = read(text)
        except ValueError:
            msg = f"option {name!r} of a simulated line is {text!r}; it must be {accepted}"
            raise ValueError(msg) from None
    return SimulationOptions(**values)  # type: ignore[arg-type] # each reader yields its field


def _number(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:  # not a number fails here too
            raise ValueError(text)
        return value

    return read


_READERS: dict[str, tuple[Callable[[str], object], str]] = {
    "seed": (_number(int, 0, 2**31), "a whole number from 0"),
    "view": (View, "belt or strobe"),
    "fps": (_number(float, 0.1, 1000), "a number from 0.1 to 1000"),
    "speed": (_number(float, 0.1, 400), "a number from 0.1 to 400 (pixels per frame)"),
    "gap": (_number(int, 16, 10_000), "a whole number from 16 to 10000 (pixels)"),
    "direction": (Direction, "left or right"),
    "takt_s": (_number(float, 0.01, 3600), "a number from 0.01 to 3600 (seconds)"),
    "defect_rate": (_number(float, 0, 1), "a number from 0 to 1"),
    "boards": (_number(int, 0, 10**9), "a whole number from 0 (0 is endless)"),
    "products": (_number(int, 1, 8), "a whole number from 1 to 8"),
    "change_every": (_number(int, 1, 10**9), "a whole number from 1 (boards)"),
    "pause": (_number(int, 0, 1000), "a whole number from 0 to 1000 (boards)"),
    "good_first": (_number(int, 0, 10**9), "a whole number from 0 (boards)"),
    "quirks": (_number(int, 0, 20), "a whole number from 0 to 20"),
    "variation": (_number(float, 0, 2), "a number from 0 to 2"),
    "pace": (Pace, "recorded or max"),
}
