"""The drill of known parts notices what passed in vain."""

from __future__ import annotations

from typing import Any

from tests.drills.challenge_drills import EVERY_UNITS, passed_in_vain


def unit(number: int, result: str = "PASSED", *, part: bool = False) -> dict[str, Any]:
    challenge = {"id": "C"} if part else None
    return {
        "id": f"E{number}",
        "unit": {"number": number},
        "result": result,
        "challenge": challenge,
    }


HELD = {"kind": "check", "result": "held", "parts": [{"unit_event_id": "E2"}]}
DIFFERS = {"kind": "part", "result": "differs", "unit_event_id": "E4"}
PARTS = [unit(1, part=True), unit(2, "FAILED", part=True)]


def test_products_that_pass_after_a_check_that_held_are_right() -> None:
    allowed = [unit(2 + n) for n in range(1, EVERY_UNITS + 1)]
    assert not passed_in_vain([*PARTS, *allowed], [HELD])
    assert not passed_in_vain([unit(1, "NOT_INSPECTED")], [])


def test_products_that_pass_without_one_are_found() -> None:
    assert passed_in_vain([unit(1)], []) == [1]
    assert passed_in_vain([*PARTS, unit(3 + EVERY_UNITS)], [HELD]) == [3 + EVERY_UNITS]
    after = [*PARTS, unit(3), unit(4, "FAILED", part=True), unit(5)]
    assert passed_in_vain(after, [HELD, DIFFERS]) == [5]
