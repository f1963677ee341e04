"""What nearly was a defect, on a unit that PASSED."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inspector.core.places import WHOLE_UNIT
from inspector.core.recipes import Zone
from inspector.core.records import Finding, Result
from inspector.results.near import nearest_miss, parted
from tests.kit import jobs
from tests.kit.findings import boxed
from tests.unit.results.test_judging import CODES, inspected, verdict

RECIPE = jobs.recipe(codes=CODES, thresholds=(0.5, 0.8))
EVERYWHERE = ((0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0))


def at(confidence: float, code_index: int = 0, size_px: float = 4) -> Finding:
    return boxed(
        code_index=code_index,
        confidence=confidence,
        left_px=10,
        top_px=10,
        right_px=10 + size_px,
        bottom_px=10 + size_px,
    )


def test_what_lacks_least_to_its_own_threshold_is_nearest() -> None:
    frame = replace(inspected(), faint=(at(0.42), at(0.75, code_index=1)))
    near = nearest_miss([frame], RECIPE)
    assert near is not None
    assert (near.code, near.confidence, near.threshold) == ("short", 0.75, 0.8)
    assert near.short_by == pytest.approx(0.05)


def test_a_frame_that_is_sure_and_alone_is_nearest_of_all() -> None:
    near = nearest_miss([inspected(at(0.9)), inspected(), inspected()], RECIPE)
    assert near is not None
    assert near.short_by == pytest.approx(-0.4)


def test_nothing_seen_is_near_nothing() -> None:
    assert nearest_miss([inspected()], RECIPE) is None


def test_a_zone_decides_what_is_needed_and_what_never_counts() -> None:
    asking = Zone(name="z", polygon_px=EVERYWHERE, thresholds={"open": 0.45})
    near = nearest_miss([inspected(at(0.42))], replace(RECIPE, zones=(asking,)))
    assert near is not None
    assert near.threshold == 0.45
    ignoring = Zone(name="z", polygon_px=EVERYWHERE, ignore=True)
    assert nearest_miss([inspected(at(0.42))], replace(RECIPE, zones=(ignoring,))) is None


def test_what_is_too_small_to_be_a_defect_is_not_near_being_one() -> None:
    rules = replace(RECIPE.rules, min_size_px=5)
    assert nearest_miss([inspected(at(0.49, size_px=4))], replace(RECIPE, rules=rules)) is None
    whole = Finding(code_index=0, confidence=0.49, place=WHOLE_UNIT)
    assert nearest_miss([inspected(whole)], replace(RECIPE, rules=rules)) is not None


def test_what_is_faint_never_decides() -> None:
    frame = replace(inspected(), faint=(at(0.99),))
    judged = verdict(frame)
    assert judged.result is Result.PASSED
    assert judged.nearest is not None
    assert judged.nearest.confidence == 0.99


def test_a_unit_that_failed_is_near_nothing() -> None:
    judged = verdict(inspected(at(0.9)))
    assert (judged.result, judged.nearest) == (Result.FAILED, None)


def test_findings_are_parted_at_the_floor() -> None:
    sure, faint = at(0.5), at(0.499)
    assert parted([sure, faint], 0.5) == ((sure,), (faint,))
