"""Product runs to paint: one product after the other, each taught and then inspected. No pixels.

They are not to be tuned to: what counts is that the next design works too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.line.scenarios import Light, ProductRun, Scenario

CLEAN = Light(fall=0.15)
HARSH = Light(fall=0.15, flicker=0.02, noise=5.0, vignette=14.0, drift=0.02)
_ONE, _TWO = ProductRun(designs=1, inspected=10), ProductRun(designs=2)


def _scanned(name: str, seed: int, skin: str | None, belt: str, **more: object) -> Scenario:
    of_run = {
        "run": _TWO,
        "board_px": (640, 600),
        "speed_px": 22.0,
        "light": CLEAN,
        "gaps_px": (120, 320),
        "encoded": True,
    }
    return Scenario(name=name, seed=seed, skin=skin, belt=belt, **(of_run | more))  # type: ignore[arg-type]


def _drawn(name: str, seed: int, belt: str, **more: object) -> Scenario:
    return _scanned(name, seed, None, belt, **more)


PRODUCT_RUNS: Sequence[Scenario] = (
    _scanned("amber_grey", 301, "amber", "grey", travel="right"),
    _scanned("amber_black_left", 302, "amber", "black", travel="left"),
    _scanned("amber_harsh", 303, "amber", "blue", travel="right", light=HARSH, blur_px=3),
    _scanned("green_grey", 304, "green", "grey", travel="right"),
    _scanned("green_left", 305, "green", "black", travel="left", tilt_deg=1.2),
    _scanned("green_harsh_left", 306, "green", "grey", travel="left", light=HARSH, blur_px=3),
    _scanned("dark_light_belt", 307, "dark", "light", travel="right"),
    _scanned("dark_left", 308, "dark", "light", travel="left"),
    _scanned("dark_harsh", 309, "dark", "light", travel="right", light=HARSH, blur_px=3),
    _scanned("blue_grey", 310, "blue", "grey", travel="right"),
    _scanned("blue_left", 311, "blue", "black", travel="left", tilt_deg=1.2),
    _scanned("blue_harsh_left", 312, "blue", "grey", travel="left", light=HARSH, blur_px=3),
    _scanned("white_black", 313, "white", "black", travel="right"),
    _scanned("white_left", 314, "white", "grey", travel="left"),
    _scanned("white_harsh", 315, "white", "blue", travel="right", light=HARSH, blur_px=3),
    _scanned(
        "amber_three",
        316,
        "amber",
        "grey",
        travel="left",
        run=ProductRun(designs=3, taught=4, inspected=5),
    ),
    _scanned(
        "green_one_of_three",
        317,
        "green",
        "grey",
        travel="right",
        run=ProductRun(taught=3, inspected=10),
    ),
    _scanned(
        "white_eight", 318, "white", "black", travel="left", run=ProductRun(taught=8, inspected=10)
    ),
    _scanned("blue_slow", 319, "blue", "grey", travel="right", run=_ONE, speed_px=12.0),
    _drawn("drawn_left", 320, "grey", travel="left"),
    _drawn("drawn_right", 321, "black", travel="right"),
    _drawn("drawn_harsh", 322, "grey", travel="right", light=HARSH, blur_px=3),
    _drawn(
        "drawn_three", 323, "black", travel="left", run=ProductRun(designs=3, taught=4, inspected=5)
    ),
    _drawn("drawn_tilted", 324, "grey", travel="right", run=_ONE, tilt_deg=1.5),
)


def others(runs: Sequence[Scenario], seeds_from: int) -> list[Scenario]:
    """The same lines with other boards: each seed is so much larger."""
    if not seeds_from:
        return list(runs)
    return [
        replace(run, name=f"{run.name}_{seeds_from}", seed=run.seed + seeds_from) for run in runs
    ]
