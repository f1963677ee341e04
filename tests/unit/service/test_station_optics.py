from __future__ import annotations

import numpy as np
import pytest

from inspector.capture.mark import Mark
from inspector.capture.optics import OpticsGuard, OpticsLimits, OpticsMemory, OpticsState
from inspector.core.optics import Measure, Optics, OpticsBaseline
from inspector.core.records import CameraId, Rect
from inspector.service.station_optics import (
    MOST_POINTS,
    POINT_EVERY_S,
    Point,
    StationOptics,
    days_left,
    keep_nothing,
    memory_note,
    memory_of,
    memory_text,
    trend_note,
    trend_of,
    trend_text,
)

TOP = CameraId("top")
DAY_S = 86_400.0
USUAL = OpticsBaseline(
    camera="top",
    pictures=24,
    blur_px=2.4,
    contrast=150,
    bright=170.0,
    bright_spread=0.02,
    colour=(90.0, 120.0, 80.5),
    noise=1.25,
    since_unix_s=1_700_000_000.5,
)
MEMORY = OpticsMemory(
    usual={"controller": USUAL, "": USUAL},
    mark=Mark(rect=Rect(10, 20, 30, 24), patch=np.arange(720, dtype=np.uint8).reshape(24, 30)),
    renewed_unix_s=1_700_000_000.25,
)


def test_what_was_learned_is_the_same_after_it_was_kept() -> None:
    again = memory_of(memory_text(MEMORY))
    assert again.usual == MEMORY.usual
    assert again.renewed_unix_s == MEMORY.renewed_unix_s
    assert again.mark is not None
    assert MEMORY.mark is not None
    assert again.mark.rect == MEMORY.mark.rect
    assert np.array_equal(again.mark.patch, MEMORY.mark.patch)
    assert memory_of(memory_text(OpticsMemory())) == OpticsMemory()


@pytest.mark.parametrize(
    "note", [None, "", "{}", "[]", '{"usual": 3}', '{"usual": {"a": {"camera": "b"}}}', "null"]
)
def test_what_cannot_be_read_is_learned_anew(note: str | None) -> None:
    assert memory_of(note) == OpticsMemory()


def test_the_trend_is_the_same_after_it_was_kept() -> None:
    trend = [Point(unix_s=1000.0 * n, used={Measure.LIGHT: n / 8}) for n in range(5)]
    assert trend_of(trend_text(trend)) == trend
    assert trend_of("[1]") == []


def station(now_s: list[float]) -> tuple[StationOptics, OpticsGuard]:
    optics = StationOptics([TOP], now_s=lambda: now_s[0])
    memory = optics.restore(lambda _name: None)[TOP]
    guard = OpticsGuard(OpticsLimits(blur_px=4.5, clipped=0.2), camera="top", memory=memory)
    optics.connect({TOP: guard}, keep=keep_nothing)
    return optics, guard


def seen(used: float) -> OpticsState:
    latest = Optics(blur_px=2.4, clipped=0.0, darkest=20)
    return OpticsState(product="controller", usual=USUAL, used={Measure.LIGHT: used}, latest=latest)


def test_it_is_kept_when_it_changes_and_a_point_of_the_trend_every_four_hours() -> None:
    now_s = [1_700_000_000.0]
    optics, guard = station(now_s)
    assert optics.news() == {}
    guard.memory = MEMORY
    assert optics.news() == {memory_note(TOP): memory_text(MEMORY)}
    assert optics.news() == {}
    guard.state = seen(0.25)
    assert trend_of(optics.news()[trend_note(TOP)]) == [
        Point(unix_s=1_700_000_000.0, used={Measure.LIGHT: 0.25})
    ]
    now_s[0] += POINT_EVERY_S - 1
    assert optics.news() == {}
    for _ in range(MOST_POINTS + 5):
        now_s[0] += POINT_EVERY_S
        notes = optics.news()
    assert len(trend_of(notes[trend_note(TOP)])) == MOST_POINTS


def test_after_a_renewal_the_trend_begins_anew() -> None:
    now_s = [1_700_000_000.0]
    optics, guard = station(now_s)
    guard.memory, guard.state = MEMORY, seen(0.5)
    optics.news()
    notes = optics.renew(None)
    assert memory_of(notes[memory_note(TOP)]) == OpticsMemory(renewed_unix_s=now_s[0])
    assert trend_of(notes[trend_note(TOP)]) == []


def falling(per_day: float, *, days: int, now: float) -> list[Point]:
    count = days * 6
    return [
        Point(unix_s=DAY_S * n / 6, used={Measure.LIGHT: now - per_day * (days - n / 6)})
        for n in range(count + 1)
    ]


@pytest.mark.parametrize(
    ("per_day", "now", "left"),
    [(0.05, 0.5, 10), (0.02, 0.3, 35), (0.001, 0.3, None), (-0.02, 0.3, None)],
)
def test_a_slow_drift_says_in_how_many_days_it_reaches_its_limit(
    per_day: float, now: float, left: int | None
) -> None:
    trend = falling(per_day, days=10, now=now)
    assert days_left(trend, Measure.LIGHT, now_s=10 * DAY_S) == left
    assert days_left(trend[:4], Measure.LIGHT, now_s=10 * DAY_S) is None
    assert days_left(trend, Measure.FOCUS, now_s=10 * DAY_S) is None


def test_people_see_each_measure_with_its_trend() -> None:
    now_s = [10 * DAY_S]
    optics, guard = station(now_s)
    kept = {trend_note(TOP): trend_text(falling(0.05, days=10, now=0.5))}
    optics.restore(kept.get)
    guard.state = seen(0.5)
    [shown] = optics.shown()
    assert (shown["camera"], shown["product"]) == ("top", "controller")
    assert shown["usual"]["vouched"] is False
    [light] = shown["measures"]
    assert (light["measure"], light["used"], light["days_left"]) == ("light", 0.5, 10)
    assert len(light["trend"]) == 61
