"""What changes in place is no unit; what came in over a border and goes with the belt is one."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av import VideoFrame

from inspector.core.records import (
    CameraId,
    Doubt,
    Frame,
    FrameRef,
    Image,
    MissReason,
    UnitClosed,
    UnitOpened,
)
from inspector.settings.sections import CameraSettings
from inspector.triggers.presence import trigger as presence_trigger
from inspector.triggers.presence.trigger import PresenceTrigger
from tests.kit import jobs

Change = Callable[[Image, int], None]
"""Draws into frame n of the camera."""
MS = 1_000_000
BELT, BOARD = (46, 46, 50), (60, 120, 50)


class Lease:
    def __init__(self, image: Image) -> None:
        self.image = image

    def release(self) -> None:
        """Nothing to give back."""


@dataclass
class Belt:
    """Boards on a belt that goes to the left."""

    size: tuple[int, int] = (640, 160)
    lengths: tuple[int, ...] = (200, 200, 200)
    gap: int = 110
    step: int = 8
    lead: int = 60
    stands: tuple[int, int] = (0, 0)
    """From which frame on, and for how many."""
    belt: tuple[int, int, int] = BELT
    alike: bool = False
    """Every board looks like the others."""
    change: Change | None = None
    crf: int | None = None
    """Through H.264."""
    settings: dict[str, Any] = field(default_factory=dict)

    def pictures(self) -> Iterator[Image]:
        width, height = self.size
        starts, at = [], width + self.lead
        for length in self.lengths:
            starts.append(at)
            at += length + self.gap
        strip = np.empty((height, at + width + 80, 3), np.uint8)
        strip[:] = self.belt
        for number, (start, length) in enumerate(zip(starts, self.lengths, strict=True)):
            strip[height // 10 : -height // 10, start : start + length] = board(
                length, height - height // 10 * 2, 0 if self.alike else number
            )
        rng = np.random.default_rng(9)
        noise = [rng.normal(0, 1.5, (height, width, 3)).astype(np.int8) for _ in range(8)]
        first, frames = self.stands
        for number in range(frames + (at + 40) // self.step):
            moved = number - min(max(0, number - first), frames)
            view = strip[:, moved * self.step : moved * self.step + width].copy()
            if self.change is not None:
                self.change(view, number)
            yield cv2.add(view, noise[number % 8], dtype=cv2.CV_8U).astype(np.uint8)

    def watched(self, monkeypatch: pytest.MonkeyPatch) -> Seen:
        # Where exactly a unit lies is tested elsewhere, and costs most of the time.
        monkeypatch.setattr(presence_trigger, "find_outline", lambda _image, _place: None)
        width, height = self.size
        told: list[UnitOpened | UnitClosed] = []
        camera = CameraSettings.model_validate(
            {"source": "sim:", "size": f"{width}x{height}", "trigger": "presence"} | self.settings
        )
        job = jobs.job(frames_of_unit=camera.frames_of_unit)
        trigger = PresenceTrigger(
            CameraId("top"),
            camera,
            job_now=lambda: job,
            spread_ns=800 * MS,
            tell=told.append,
            on_idle=lambda _frames: None,
            on_doubt=lambda doubt: counted.update([doubt]),
        )
        doubts = set()
        counted: Counter[Doubt] = Counter()
        pictures = self.pictures()
        if self.crf is not None:
            pictures = encoded(pictures, self.size, self.crf)
        for number, picture in enumerate(pictures):
            at_ns = (1000 + number * 33) * MS
            ref = FrameRef(
                camera_id=CameraId("top"),
                sequence=number,
                captured_mono_ns=at_ns,
                captured_unix_ns=at_ns,
            )
            trigger.observe(Frame(ref=ref, lease=Lease(picture)))
            doubts.add(trigger.doubt)
        trigger.interrupted(MissReason.SHUTTING_DOWN, "the recording ended")
        closed = [one for one in told if isinstance(one, UnitClosed)]
        closed.sort(key=lambda one: one.unit.index)
        assert len(closed) == sum(isinstance(one, UnitOpened) for one in told)
        return Seen(closed, doubts - {""}, counted)


@dataclass
class Seen:
    closed: list[UnitClosed]
    doubts: set[str]
    counted: Counter[Doubt]
    """Units that may have been missed."""

    @property
    def misses(self) -> list[MissReason | None]:
        return [one.miss for one in self.closed]


def board(length: int, height: int, seed: int) -> Image:
    rng = np.random.default_rng(seed)
    picture = np.empty((height, length, 3), np.uint8)
    picture[:] = BOARD
    for _ in range(max(6, length * height // 1500)):
        x, y = int(rng.integers(0, length - 6)), int(rng.integers(0, height - 6))
        colour = np.clip(np.array(BOARD) + rng.integers(-40, 60, 3), 0, 255)
        picture[y : y + int(rng.integers(3, 30)), x : x + int(rng.integers(4, 50))] = colour
    return picture


def encoded(pictures: Iterable[Image], size: tuple[int, int], crf: int) -> Iterator[Image]:
    """As an encoder that spares bits leaves them."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast", "tune": "zerolatency"}
        for picture in pictures:
            container.mux(stream.encode(VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as footage:
        for frame in footage.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def clock(where: str, every: int = 30) -> Change:
    def draw(view: Image, number: int) -> None:
        text = f"2026-11-30 10:00:{number // every % 60:02d} #{number // every:05d}"
        (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)
        x = {"l": 4, "r": view.shape[1] - wide - 4, "m": (view.shape[1] - wide) // 2}[where[1]]
        y = {"t": high + 4, "b": view.shape[0] - 6, "m": view.shape[0] // 2}[where[0]]
        cv2.putText(view, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1)

    return draw


def beacon(x: int, wide: int, high: int = 50, by: int = 40, period: int = 8) -> Change:
    def draw(view: Image, number: int) -> None:
        if number % period >= period // 2:
            part = view[50 : 50 + high, x : x + wide]
            part[:] = np.clip(part.astype(np.int16) + by, 0, 255)

    return draw


def bands(share: float, wave_px: float = 50, speed_px: float = 7.3) -> Change:
    def draw(view: Image, number: int) -> None:
        rows = np.arange(view.shape[0]) + speed_px * number
        light = 1 + share * np.sin(rows * 2 * math.pi / wave_px)
        view[:] = np.clip(view * light[:, None, None], 0, 255)

    return draw


def dirt(*spots: tuple[int, int, int, int], since: int = 0) -> Change:
    def draw(view: Image, number: int) -> None:
        if number >= since:
            veil = np.ones(view.shape[:2], np.float32)
            for x, y, wide, high in spots:
                veil[y : y + high, x : x + wide] = 0.55
            view[:] = view * cv2.GaussianBlur(veil, (0, 0), 5)[..., None]

    return draw


def leds(view: Image, number: int) -> None:
    """On every board, blinking where boards are at that time."""
    if number % 10 >= 5:
        for start in (700, 1010, 1320):
            x = start - number * 8 + 60
            if 0 <= x < view.shape[1] - 12:
                view[60:72, x : x + 12] = (60, 60, 255)


def passer_by(view: Image, number: int) -> None:
    """A shadow that crosses the belt."""
    middle = number % 90 / 90 * (view.shape[0] * 2 + 200) - 100
    rows = 1 - 0.5 * np.clip(1 - np.abs(np.arange(view.shape[0]) - middle) / 100, 0, 1)
    part = view[:, 250:450]
    part[:] = part * rows[:, None, None]


def shaking(view: Image, number: int) -> None:
    dx, dy = np.random.default_rng(number).integers(-2, 3, 2)
    view[:] = np.roll(view, (dy, dx), (0, 1))


def warming_up(view: Image, number: int) -> None:
    view[:] = np.clip(view * max(1.0, 2.2 - number / 30), 0, 255)


IN_PLACE: dict[str, Change] = {
    "clock at the top left": clock("tl"),
    "clock at the entry": clock("tr"),
    "clock in the middle, every frame": clock("mm", every=1),
    "frame counter at the bottom": clock("bl", every=1),
    "beacon": beacon(280, 80),
    "slow beacon": beacon(280, 80, period=60),
    "dark beacon": beacon(280, 80, by=-30),
    "beacon from frame to frame": beacon(280, 80, period=2),
    "bands of 4 percent": bands(0.04),
    "bands of 10 percent": bands(0.1),
    "slow bands": bands(0.1, speed_px=1.1),
    "dirt on the lens": dirt((200, 40, 50, 40), (420, 90, 30, 30)),
    "dirt that comes": dirt((200, 40, 50, 40), since=120),
    "LEDs on the boards": leds,
    "shadow of a passer-by": passer_by,
    "camera that shakes": shaking,
    "exposure at the start": warming_up,
}


@pytest.mark.parametrize("change", IN_PLACE.values(), ids=IN_PLACE.keys())
def test_what_changes_in_place_is_no_unit_and_hides_none(
    change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Belt(change=change).watched(monkeypatch)
    assert seen.misses == [None] * 3
    assert not seen.counted, "and none is thought to be missed"


@pytest.mark.parametrize("share", [0.04, 0.1])
def test_bands_of_light_on_a_light_belt_are_no_units(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Belt(belt=(120, 125, 122), change=bands(share)).watched(monkeypatch)
    assert seen.misses == [None] * 3
    assert any("light of the rows" in doubt for doubt in seen.doubts), "told"


@pytest.mark.parametrize("name", ["clock in the middle, every frame", "beacon", "slow beacon"])
def test_nothing_is_a_unit_on_an_empty_belt(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Belt(lengths=(), lead=1000, change=IN_PLACE[name]).watched(monkeypatch)
    assert not seen.closed


def test_what_changes_in_place_while_the_belt_stands_is_no_unit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = Belt(stands=(60, 300), change=beacon(280, 80)).watched(monkeypatch)
    assert seen.misses == [None] * 3


@pytest.mark.parametrize("change", [None, clock("mm", every=1), dirt((200, 40, 50, 40))])
def test_boards_in_view_at_the_start_are_units_once_they_go(
    change: Change | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Belt(lead=-400, change=change).watched(monkeypatch)
    assert seen.misses == [None] * 3


@pytest.mark.parametrize("crf", [36, 38])
def test_what_a_frugal_encoder_leaves_behind_is_no_unit(
    crf: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Belt(crf=crf).watched(monkeypatch).misses == [None] * 3


@pytest.mark.parametrize(("length", "gap"), [(620, 260), (300, 120), (150, 60), (300, 400)])
def test_boards_at_a_tenth_of_the_view_per_picture_are_each_a_unit(
    length: int, gap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = Belt(size=(1280, 360), lengths=(length,) * 12, gap=gap, step=128)
    seen = fast.watched(monkeypatch)
    assert len(seen.closed) == 12
    assert not seen.doubts
    assert not seen.counted


def test_a_board_that_is_taken_off_while_it_comes_in_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def taken(view: Image, number: int) -> None:
        if number >= 20:
            view[:] = BELT

    seen = Belt(lengths=(200,), change=taken).watched(monkeypatch)
    assert not seen.closed
    assert seen.counted == {Doubt.VANISHED: 1}


def test_units_that_go_too_fast_to_be_told_apart_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = Belt(size=(1280, 360), lengths=(300,) * 12, gap=120, step=256)
    seen = fast.watched(monkeypatch)
    assert any("of the view from one picture to the next" in doubt for doubt in seen.doubts)


@pytest.mark.parametrize("step", [192, 256, 320, 384])
@pytest.mark.parametrize(("length", "gap"), [(300, 120), (200, 80), (300, 400)])
def test_boards_that_look_alike_are_not_taken_for_one_another_on_a_fast_belt(
    length: int, gap: int, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the shorter way to the next board's place, back or on, they would."""
    fast = Belt(size=(1280, 360), lengths=(length,) * 12, gap=gap, step=step, alike=True)
    assert len(fast.watched(monkeypatch).closed) == 12


@pytest.mark.parametrize("first", [8, 11, 14, 17])
@pytest.mark.parametrize("alike", [False, True])
def test_a_fast_belt_that_stops_and_goes_on_loses_no_unit(
    first: int, monkeypatch: pytest.MonkeyPatch, *, alike: bool
) -> None:
    fast = Belt(lengths=(150,) * 6, gap=60, step=64, alike=alike, stands=(first, 40))
    assert fast.watched(monkeypatch).misses == [None] * 6


@pytest.mark.parametrize(("length", "gap"), [(300, 120), (200, 80), (150, 60)])
def test_units_that_are_lost_because_they_look_alike_are_counted(
    length: int, gap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = Belt(size=(1280, 360), lengths=(length,) * 12, gap=gap, step=512, alike=True)
    seen = fast.watched(monkeypatch)
    assert len(seen.closed) < 12
    assert len(seen.closed) + seen.counted.total() >= 12


def test_a_line_without_fault_raises_no_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Belt().watched(monkeypatch)
    assert not seen.doubts
    assert not seen.counted


def test_units_that_touch_have_each_a_verdict_that_does_not_call_them_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = Belt(lengths=(200, 200, 400, 200), gap=80).watched(monkeypatch)
    short = MissReason.NO_FRAME
    assert seen.misses == [None, None, short, short, None]
    assert "touch" in seen.closed[2].detail


def test_the_first_units_that_touch_are_told_where_their_length_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    touching = Belt(lengths=(400,), settings={"unit_length_px": 200})
    assert touching.watched(monkeypatch).misses == [MissReason.NO_FRAME] * 2


def test_boards_of_two_sizes_are_units(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Belt(lengths=(200, 100, 200, 100, 200), gap=80).watched(monkeypatch)
    assert seen.misses == [None] * 5


def test_another_product_that_is_longer_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Belt(lengths=(100, 100, 100, *([200] * 6)), gap=80).watched(monkeypatch)
    assert seen.misses[-2:] == [None, None]


def put_down(view: Image, number: int) -> None:
    """Somebody lays a board into the middle of the view."""
    if number >= 40:
        view[20:-20, 200:400] = board(200, view.shape[0] - 40, 7)


@pytest.mark.parametrize(("arrival", "units"), [("border", 0), ("anywhere", 1)])
def test_what_hands_put_down_is_a_unit_only_where_that_is_set(
    arrival: str, units: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands = Belt(lengths=(), lead=600, change=put_down, settings={"arrival": arrival})
    seen = hands.watched(monkeypatch)
    assert len(seen.closed) == units
    assert bool(seen.doubts) == (arrival == "border"), "what hands put down there is no dirt"
