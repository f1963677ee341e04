from __future__ import annotations

import pytest

from inspector.triggers.presence.doubts import Doubts, Signs

GOOD = Signs(moved=0.02, bands=0.002, restless=0.0, stuck=0.0)


@pytest.mark.parametrize(
    ("signs", "words"),
    [
        (Signs(moved=0.3, bands=0.0, restless=0.0, stuck=0.0), "from one picture to the next"),
        (Signs(moved=-0.3, bands=0.0, restless=0.0, stuck=0.0), "from one picture to the next"),
        (Signs(moved=None, bands=0.1, restless=0.0, stuck=0.0), "light of the rows"),
        (Signs(moved=None, bands=0.0, restless=0.2, stuck=0.0), "changes by itself"),
        (Signs(moved=None, bands=0.0, restless=0.0, stuck=0.2), "does not go with the belt"),
    ],
)
def test_what_lasts_is_told_and_taken_back(signs: Signs, words: str) -> None:
    doubts = Doubts()
    for _ in range(100):
        doubts.see(signs)
    assert words in doubts.cause
    for _ in range(400):
        doubts.see(GOOD)
    assert not doubts.cause


def test_a_moment_is_no_doubt() -> None:
    doubts = Doubts()
    for number in range(500):
        is_odd = number % 250 == 100
        doubts.see(Signs(moved=None, bands=0.1, restless=0.0, stuck=0.0) if is_odd else GOOD)
        assert not doubts.cause


def test_a_cause_is_told_once_and_stays_as_it_was_told() -> None:
    doubts, told = Doubts(), set()
    for number in range(300):
        doubts.see(Signs(moved=0.2 + number / 1000, bands=0.0, restless=0.0, stuck=0.0))
        told.add(doubts.cause)
    assert len(told - {""}) == 1


def test_a_belt_with_nothing_on_it_says_nothing_of_its_speed() -> None:
    doubts = Doubts()
    for _ in range(100):
        doubts.see(Signs(moved=0.3, bands=0.0, restless=0.0, stuck=0.0))
    for _ in range(1000):
        doubts.see(Signs(moved=None, bands=0.0, restless=0.0, stuck=0.0))
    assert doubts.cause
