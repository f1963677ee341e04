"""When a server's findings and those of the same network in process are the same."""

from __future__ import annotations

import pytest

from inspector.commands.model.comparing import difference, overlap
from inspector.core.places import WHOLE_UNIT, Box
from inspector.core.records import Finding


def box(left: float, top: float, right: float, bottom: float) -> Box:
    return Box(left_px=left, top_px=top, right_px=right, bottom_px=bottom)


def found(score: float, place: Box | None = None, code: int = 0) -> Finding:
    return Finding(code_index=code, confidence=score, place=place or WHOLE_UNIT)


A, B = box(10, 10, 110, 110), box(200, 10, 300, 60)


def test_the_same_in_another_order_is_no_difference() -> None:
    ours, theirs = [found(0.9, A), found(0.5, B)], [found(0.5, B), found(0.9, A)]
    told = difference(ours, theirs, floor=0.25)
    assert told.is_none
    assert (told.pairs, told.alone) == (2, 0)


@pytest.mark.parametrize(
    "theirs",
    [
        [found(0.9, A, code=1)],
        [found(0.9, box(10, 10, 112, 112))],
        [found(0.88, A)],
        [],
        [found(0.9, A), found(0.9, A)],
        [found(0.9, B)],
    ],
    ids=["another code", "a little larger", "less sure", "missing", "twice", "elsewhere"],
)
def test_what_differs_is_a_difference_from_either_side(theirs: list[Finding]) -> None:
    assert not difference([found(0.9, A)], theirs, floor=0.25).is_none
    assert not difference(theirs, [found(0.9, A)], floor=0.25).is_none


def test_what_lies_at_the_floor_may_be_on_one_side_only() -> None:
    assert difference([found(0.255, A)], [], floor=0.25).is_none
    assert difference([], [found(0.255, A)], floor=0.25).is_none


def test_what_is_about_the_whole_picture_is_like_its_like() -> None:
    assert difference([found(0.7)], [found(0.7)], floor=0.25).is_none
    assert not difference([found(0.7)], [found(0.7, A)], floor=0.25).is_none


def test_overlap() -> None:
    assert overlap(A, A) == 1
    assert overlap(A, B) == 0
    assert overlap(A, box(10, 10, 110, 60)) == pytest.approx(0.5)
