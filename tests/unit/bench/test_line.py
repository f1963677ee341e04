from __future__ import annotations

import math

from inspector.bench.line import Seen, percentile_of
from inspector.core.records import CameraId, EventGroup, Stream
from inspector.core.records import Event as StreamEvent
from tests.kit.groups import group, judged


def verdict(result: str, age_ms: float, defects: int = 0) -> EventGroup:
    body = {
        "id": "x",
        "result": result,
        "reason": "stale" if result == "NOT_INSPECTED" else None,
        "counts": {"defects": defects},
        "timing_ms": {"trigger_to_verdict": age_ms},
    }
    event = StreamEvent(
        stream=Stream.UNITS, schema="s", id="x", time="t", unit_id="u", result=result, body=body
    )
    return group(event, unit=judged(CameraId("c0"), 1, "x"))


def test_the_clock_starts_after_the_units_that_do_not_count() -> None:
    seen = Seen(mark_after=2)
    for result, age_ms in (("PASSED", 900.0), ("PASSED", 800.0), ("FAILED", 3.0)):
        seen.on_verdict(verdict(result, age_ms, defects=1))
    seen.on_verdict(verdict("NOT_INSPECTED", 500.0))
    assert (seen.counted, seen.looked_at, seen.defects) == (2, 1, 1)
    assert list(seen.ages_ms) == [3.0]
    assert seen.results == {"PASSED": 2, "FAILED": 1, "NOT_INSPECTED": 1}
    assert seen.reasons == {"stale": 1}


def test_percentiles_of_too_little_are_no_numbers() -> None:
    assert math.isnan(percentile_of([1.0], 50))
    assert percentile_of([0.0, 1.0], 50) == 0.5
