"""The lines that videos are generated of: belts, boards, ways to move, lights. No pixels here."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.line.truth import Travel

Size = tuple[int, int]
Motion = tuple[tuple[int, float], ...]
"""So many frames at so many pixels per frame; what is left of the video goes on at full speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """How bright a frame is, and how noisy the camera."""

    drift: float = 0.01
    """Share by which brightness swings slowly."""
    fall: float = 0.0
    """Share by which it gets darker from the first frame to the last."""
    flicker: float = 0.003
    """Share by which it changes from frame to frame."""
    off: tuple[int, int] | None = None
    """Frames, first and one past the last, in which the lights are off."""
    noise: float = 2.5
    """Standard deviation of a pixel, in grey levels."""
    vignette: float = 8.0
    """How many grey levels the corners are darker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRun:
    """Boards of one design after the other: first some to learn from, then those to inspect."""

    designs: int = 1
    taught: int = 5
    """Of each design; all good."""
    inspected: int = 8
    """Of each design; about half good, the others with one to four of the design's defects."""
    foreign: bool = True
    """One board among those to inspect of each product is of a design that is none of them."""

    @property
    def boards(self) -> int:
        """On the belt."""
        return self.designs * (self.taught + self.inspected)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One line."""

    name: str
    seed: int
    boards: int = 6
    board_px: Size = (600, 560)
    products: int = 1
    run: ProductRun | None = None
    """One product after the other; None: boards in any order."""
    skin: str | None = None
    """Of scanned boards; None draws boards."""
    belt: str = "grey"
    seam: bool = False
    """Where the ends of the belt are joined: a dark line across, every 1024 px."""
    travel: Travel = "left"
    speed_px: float = 12.0
    gaps_px: Size = (140, 360)
    """From, to."""
    tilt_deg: float = 0.8
    lead_px: float = 60.0
    """How far the first board is from the picture at the start; negative: it is in it."""
    motion: Motion = ()
    withdrawn: int | None = None
    """This board is taken off the belt once it has gone back out of the picture."""
    light: Light = Light()
    blur_px: int = 2
    picture_px: Size = (1280, 720)
    fps: float = 30.0
    encoded: bool = False
    """Goes through H.264."""

    def travelled_px(self, until_px: float) -> tuple[int, ...]:
        """Where the belt is at each frame, until it has gone so far."""
        steps: list[float] = []
        for frames, speed in self.motion:
            steps += [speed] * frames
        left = until_px - sum(steps)
        steps += [self.speed_px] * max(1, round(left / self.speed_px))
        return tuple(round(at) for at in itertools.accumulate(steps, initial=0.0))


STANDING: Sequence[Scenario] = (
    Scenario(name="right_to_left", seed=31, boards=4, belt="blue"),
    Scenario(
        name="top_to_bottom", seed=32, boards=4, board_px=(480, 440), travel="down", speed_px=7.0
    ),
    Scenario(
        name="close_together",
        seed=33,
        boards=6,
        board_px=(560, 580),
        travel="right",
        gaps_px=(24, 60),
        speed_px=14.0,
    ),
    Scenario(
        name="stops_and_goes_on",
        seed=34,
        boards=3,
        motion=((60, 12.0), (4, 6.0), (75, 0.0), (4, 6.0)),
    ),
    Scenario(
        name="enters_and_goes_back",
        seed=35,
        boards=3,
        travel="right",
        # The second board is 60 % in, goes back out, and is taken off the belt.
        motion=((96, 12.0), (10, 0.0), (60, -6.0), (10, 0.0)),
        lead_px=20.0,
        gaps_px=(220, 230),
        withdrawn=2,
    ),
    Scenario(
        name="stops_for_a_minute",
        seed=36,
        boards=2,
        # A camera of 10 frames per second, to keep the test short.
        motion=((75, 12.0), (600, 0.0)),
        fps=10.0,
        light=Light(drift=0.06),
    ),
    Scenario(name="in_view_at_start", seed=37, boards=3, lead_px=-900.0, belt="light"),
    Scenario(name="lights_off", seed=38, boards=4, light=Light(off=(112, 172))),
    Scenario(name="encoded", seed=39, boards=3, travel="right", encoded=True, belt="light"),
)
"""What is tested at every change, with a perfect detector: short."""

MATRIX: Sequence[Scenario] = (
    *STANDING,
    Scenario(
        name="amber_right_to_left",
        seed=51,
        boards=10,
        skin="amber",
        tilt_deg=1.0,
        encoded=True,
    ),
    Scenario(
        name="green_blue_belt",
        seed=52,
        boards=10,
        skin="green",
        belt="blue",
        travel="right",
        speed_px=18.0,
        gaps_px=(60, 200),
        tilt_deg=2.0,
        blur_px=4,
        light=Light(drift=0.15, flicker=0.02, noise=5.0),
        encoded=True,
    ),
    Scenario(
        name="dark_on_light_belt",
        seed=53,
        boards=8,
        skin="dark",
        belt="light",
        speed_px=6.5,
        gaps_px=(200, 700),
        encoded=True,
    ),
    Scenario(
        name="white_boards",
        seed=54,
        boards=8,
        skin="white",
        belt="black",
        travel="right",
        speed_px=10.0,
        encoded=True,
    ),
    Scenario(name="blue_boards", seed=55, boards=8, skin="blue", belt="grey", encoded=True),
    Scenario(name="dark_on_black_belt", seed=60, boards=8, skin="dark", belt="black", speed_px=9.0),
    Scenario(
        name="bottom_to_top",
        seed=56,
        boards=8,
        board_px=(480, 440),
        travel="up",
        speed_px=5.0,
        encoded=True,
    ),
    Scenario(name="slow", seed=57, boards=3, speed_px=2.5, gaps_px=(100, 200)),
    Scenario(name="fast", seed=58, boards=12, speed_px=30.0, blur_px=5, travel="right"),
    Scenario(
        name="long_gaps",
        seed=59,
        boards=5,
        products=3,
        gaps_px=(1500, 4000),
        light=Light(drift=0.2, flicker=0.01),
    ),
    Scenario(
        name="goes_back_and_forth",
        seed=66,
        boards=4,
        # The first board goes back too, until a few pixels of it are out again.
        motion=((96, 12.0), (10, 0.0), (60, -9.0), (10, 0.0)),
        lead_px=20.0,
    ),
    Scenario(name="belt_seam", seed=67, boards=6, seam=True),
    Scenario(name="in_view_at_start_grey", seed=37, boards=3, lead_px=-900.0, belt="grey"),
    Scenario(
        name="standing_at_start",
        seed=68,
        boards=4,
        lead_px=-900.0,
        motion=((90, 0.0),),
        travel="right",
    ),
    Scenario(name="alone_at_start", seed=69, boards=3, lead_px=-700.0, gaps_px=(900, 1100)),
    Scenario(
        name="stops_while_entering",
        seed=61,
        boards=4,
        motion=((40, 12.0), (150, 0.0)),
    ),
    Scenario(
        name="many_products",
        seed=62,
        boards=12,
        products=4,
        travel="right",
        speed_px=15.0,
        gaps_px=(40, 90),
        board_px=(580, 600),
        encoded=True,
    ),
    Scenario(
        name="lights_off_while_standing",
        seed=63,
        boards=3,
        motion=((75, 12.0), (120, 0.0)),
        light=Light(off=(90, 150)),
    ),
    Scenario(
        name="lights_off_between",
        seed=64,
        boards=3,
        gaps_px=(1700, 1800),
        light=Light(off=(180, 240)),
    ),
    Scenario(name="small_boards", seed=65, boards=10, board_px=(460, 440), gaps_px=(50, 120)),
)
"""What the command judges when it is asked for generated videos."""
