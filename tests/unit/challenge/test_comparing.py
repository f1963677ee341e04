"""Whether a known part was seen as it is known to be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inspector.challenge.comparing import differences
from inspector.challenge.sets import Known, KnownDefect
from inspector.core.challenges import Differs
from inspector.core.places import WHOLE_UNIT
from inspector.core.records import Result
from inspector.core.verdicts import Verdict
from tests.kit.known_parts import defect, seen

GOOD = Known(result="PASSED")
AT = (100.0, 100.0, 40.0, 20.0)
OPEN = Known(result="FAILED", defects=(KnownDefect(code="open", bbox_px=AT),))


LOST = replace(seen(), result=Result.NOT_INSPECTED, reason="camera_lost", detail="unplugged")


@pytest.mark.parametrize(
    ("known", "found", "kinds"),
    [
        (GOOD, seen(), []),
        (GOOD, seen(defect()), [Differs.FALSE_CALL]),
        (OPEN, seen(), [Differs.MISSED]),
        (OPEN, seen(defect()), []),
        (OPEN, seen(defect("short")), [Differs.DEFECT_MISSED]),
        (OPEN, seen(defect(x=500)), [Differs.DEFECT_MISSED]),
        (OPEN, seen(defect(), defect("short", x=500)), []),
        (
            OPEN.model_copy(update={"no_others": True}),
            seen(defect(), defect("short", x=500)),
            [Differs.OTHER_DEFECT],
        ),
        (Known(result="FAILED"), seen(defect("short")), []),
        (OPEN, seen(defect(place=WHOLE_UNIT)), []),
        (GOOD, LOST, [Differs.NOT_INSPECTED]),
        (OPEN, LOST, [Differs.NOT_INSPECTED]),
    ],
)
def test_what_differs_is_named(known: Known, found: Verdict, kinds: list[Differs]) -> None:
    assert [d.kind for d in differences(known, found, tolerance_px=20)] == kinds


def test_the_middle_of_a_defect_may_lie_so_far_outside_its_place() -> None:
    # The place ends at x = 140; a middle at 160 is 20 pixels outside.
    at_edge, beyond = seen(defect(x=145)), seen(defect(x=145.5))
    assert not differences(OPEN, at_edge, tolerance_px=20)
    assert differences(OPEN, beyond, tolerance_px=20)
    assert not differences(OPEN, beyond, tolerance_px=21)


def test_one_defect_that_was_found_does_not_stand_for_two() -> None:
    twice = Known(result="FAILED", defects=(KnownDefect(code="open"), KnownDefect(code="open")))
    assert [d.kind for d in differences(twice, seen(defect()), tolerance_px=20)] == [
        Differs.DEFECT_MISSED
    ]
    assert not differences(twice, seen(defect(), defect(x=500)), tolerance_px=20)
