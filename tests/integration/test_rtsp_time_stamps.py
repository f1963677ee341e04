"""Pictures that arrive evenly are fresh, whatever a camera stamps them with."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

import pytest

from inspector.core.records import CameraId
from inspector.sources.opening import Opening
from inspector.sources.registry import parse_source
from tests.kit.cables import LeakyCable
from tests.kit.rtsp_server import RtspServer, Serving

SIZE, FPS, WRONG_FROM = (320, 180), 10, 15
STALE_MS = 400
TICKS_PER_S = 90_000


def once_ahead() -> Callable[[int], int]:
    offsets = itertools.chain((7 * TICKS_PER_S // 10,), itertools.repeat(0))
    return lambda ticks: ticks + next(offsets)


RATES = {"slower than time", "half as fast as time", "faster than time"}
WRONG: dict[str, Callable[[int], int]] = {
    "slower than time": lambda ticks: ticks * 5 // 6,
    "half as fast as time": lambda ticks: ticks // 2,
    "faster than time": lambda ticks: ticks * 2,
    "set back by 0.8 s": lambda ticks: ticks - 8 * TICKS_PER_S // 10,
    "set forward by an hour": lambda ticks: ticks + 3600 * TICKS_PER_S,
    "one picture ahead": once_ahead(),
    "standing still": lambda _ticks: 0,
    "running backwards": lambda ticks: -ticks,
}


@pytest.mark.parametrize("wrong", WRONG)
def test_pictures_that_arrive_evenly_are_fresh(wrong: str) -> None:
    if (missing := RtspServer.missing()) is not None:
        pytest.skip(missing)
    ages_ms, troubles = [], set()
    serving = Serving(pattern_size=SIZE, fps=FPS)
    with RtspServer(serving) as server, LeakyCable(server.port) as cable:
        camera = parse_source(server.url().replace(str(server.port), str(cable.port))).make_source(
            Opening(
                camera_id=CameraId("top"),
                size=SIZE,
                read_timeout_s=2.0,
                connect_timeout_s=5.0,
                stop=threading.Event(),
                pace="recorded",
            )
        )
        camera.open()
        for number in range(120 if wrong in RATES else 40):  # a rate takes six seconds to see
            if number == WRONG_FROM:
                cable.stamp = WRONG[wrong]
            grabbed = camera.grab()
            ages_ms.append((time.monotonic_ns() - grabbed.captured_mono_ns) / 1e6)
            troubles.add(grabbed.clock_trouble)
        camera.close()
    stale = [number for number, age_ms in enumerate(ages_ms) if age_ms > STALE_MS]
    # A clock that is set may make pictures look late; for no longer than a second.
    assert all(WRONG_FROM <= number <= WRONG_FROM + FPS for number in stale), ages_ms
    if wrong in RATES:
        assert any("of the speed of time" in trouble for trouble in troubles)
