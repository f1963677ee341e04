from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inspector.core.geometry import encloses
from inspector.core.recipes import FusingRules, Zone
from inspector.core.records import Finding
from inspector.results.fusing import fuse
from inspector.results.zones import PlaceRules
from tests.kit.findings import box_of, boxed, of_the_whole, rhombus

CODES = ("open", "short")
RULES = FusingRules(thresholds=(0.5, 0.6))
Polygon = tuple[tuple[float, float], ...]


def square(left: float, top: float, side: float) -> Polygon:
    return (
        (left, top),
        (left + side, top),
        (left + side, top + side),
        (left, top + side),
    )


def seen(x_px: float, y_px: float, confidence: float = 0.9, code_index: int = 0) -> Finding:
    return boxed(
        code_index=code_index,
        confidence=confidence,
        left_px=x_px - 5,
        top_px=y_px - 5,
        right_px=x_px + 5,
        bottom_px=y_px + 5,
    )


def ignoring(polygon: Polygon) -> Zone:
    return Zone(name="label", polygon_px=polygon, ignore=True)


def asking(polygon: Polygon, **thresholds: float) -> Zone:
    return Zone(name="pads", polygon_px=polygon, thresholds=thresholds)


def places(*zones: Zone) -> PlaceRules:
    return PlaceRules(RULES, codes=CODES, zones=zones)


def claimed(*frames: list[Finding], zones: tuple[Zone, ...]) -> list[tuple[float, float]]:
    found = fuse(frames, RULES, frames_expected=len(frames), places=places(*zones))
    return [(box_of(f.finding).left_px + 5, box_of(f.finding).top_px + 5) for f in found]


def test_what_lies_in_a_zone_that_ignores_is_no_defect() -> None:
    zones = (ignoring(square(100, 100, 50)),)
    inside, beside = seen(120, 120), seen(90, 120)
    assert claimed([inside, beside], zones=zones) == [(90, 120)]


def test_a_zone_is_asked_about_the_middle_of_the_defect() -> None:
    zones = (ignoring(square(100, 100, 50)),)
    assert claimed([seen(99.9, 120)], zones=zones) == [(99.9, 120)], "half of it is in the zone"
    # One of three frames sees it beyond the border: it supports the others all the same.
    jittering = [[seen(101, 120)], [seen(101, 120)], [seen(98, 120)]]
    assert claimed(*jittering, zones=zones) == []
    jittering = [[seen(101, 120)], [seen(97, 120)], [seen(97, 120)]]
    assert len(claimed(*jittering, zones=zones)) == 1


@pytest.mark.parametrize(("confidence", "is_claimed"), [(0.65, False), (0.75, True)])
def test_a_zone_asks_for_more_of_the_codes_that_it_names(
    confidence: float,
    is_claimed: bool,  # noqa: FBT001 - a case
) -> None:
    zones = (asking(square(0, 0, 50), open=0.7),)
    assert bool(claimed([seen(20, 20, confidence)], zones=zones)) == is_claimed
    assert claimed([seen(80, 20, confidence)], zones=zones) == [(80, 20)], "beside it"
    assert claimed([seen(20, 20, confidence, 1)], zones=zones) == [(20, 20)], "another code"


def test_a_zone_may_ask_for_less() -> None:
    zones = (asking(square(0, 0, 50), open=0.2),)
    weak = [[seen(20, 20, 0.3)], [seen(20, 20, 0.25)], [seen(20, 20, 0.12)]]
    assert claimed(*weak, zones=zones)
    assert not claimed(*weak, zones=())


def test_where_zones_overlap_ignoring_decides_and_else_the_first_that_names_the_code() -> None:
    strict, lenient = (asking(square(0, 0, 50), open=t) for t in (0.9, 0.2))
    other = asking(square(0, 0, 50), short=0.9)
    assert places(other, strict, lenient).threshold(seen(20, 20)) == 0.9
    assert places(lenient, strict).threshold(seen(20, 20)) == 0.2
    both = places(lenient, ignoring(square(10, 10, 20)))
    assert both.ignores(seen(20, 20))
    assert not both.ignores(seen(40, 40))


numbers = st.integers(0, 60).map(float)
polygons = st.lists(st.tuples(numbers, numbers), min_size=3, max_size=8, unique=True).map(tuple)
detections = st.builds(
    seen, numbers, numbers, st.integers(0, 100).map(lambda p: p / 100), st.integers(0, 1)
)
units = st.lists(st.lists(detections, max_size=5, unique=True), min_size=1, max_size=3)


@given(polygon=polygons, x=numbers, y=numbers)
def test_a_point_is_enclosed_as_opencv_says(polygon: Polygon, x: float, y: float) -> None:
    """OpenCV is forbidden to pure modules; on the border it says neither inside nor outside."""
    x_px, y_px = x + 0.25, y + 0.25
    said = cv2.pointPolygonTest(np.array(polygon, np.float32), (x_px, y_px), measureDist=False)
    assume(said != 0)
    assert encloses(polygon, x_px, y_px) == (said > 0)


@given(frames=units, polygon=polygons)
def test_a_zone_that_ignores_takes_away_what_lies_in_it_and_changes_nothing_else(
    frames: list[list[Finding]], polygon: Polygon
) -> None:
    without = fuse(frames, RULES, frames_expected=len(frames))
    with_zone = fuse(frames, RULES, frames_expected=len(frames), places=places(ignoring(polygon)))
    outside = [f for f in without if not places(ignoring(polygon)).ignores(f.finding)]
    assert with_zone == outside


@given(frames=units, polygon=polygons, order=st.randoms(use_true_random=False))
def test_the_order_of_the_frames_makes_no_difference_in_zones_either(
    frames: list[list[Finding]], polygon: Polygon, order: object
) -> None:
    shuffled = list(frames)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    zones = places(asking(polygon, open=0.2, short=0.9))
    one, other = (
        fuse(frames_, RULES, frames_expected=len(frames), places=zones)
        for frames_ in (frames, shuffled)
    )
    assert one == other


@given(frames=units)
def test_a_zone_that_says_what_the_product_says_changes_nothing(
    frames: list[list[Finding]],
) -> None:
    same = asking(square(0, 0, 30), **dict(zip(CODES, RULES.thresholds, strict=True)))
    assert fuse(frames, RULES, frames_expected=len(frames)) == fuse(
        frames, RULES, frames_expected=len(frames), places=places(same)
    )


def test_rules_that_ask_for_another_size_hold_in_zones_too() -> None:
    large = replace(RULES, min_size_px=20.0)
    zone = asking(square(0, 0, 50), open=0.2)
    at = PlaceRules(large, codes=CODES, zones=(zone,))
    assert not fuse([[seen(20, 20)]], large, frames_expected=1, places=at)


def test_a_shape_lies_where_its_middle_is_and_the_whole_unit_in_no_zone() -> None:
    zones = (ignoring(square(100, 100, 50)), asking(square(300, 300, 50), open=0.95))
    at = places(*zones)
    assert at.ignores(rhombus(110, 110, half_px=40))
    assert not at.ignores(rhombus(90, 110, half_px=40))
    assert at.threshold(rhombus(310, 310, half_px=60)) == 0.95
    everywhere = ignoring(square(-1000, -1000, 5000))
    assert not places(everywhere).ignores(of_the_whole())
    assert places(asking(square(-1000, -1000, 5000), open=0.95)).threshold(of_the_whole()) == 0.5
