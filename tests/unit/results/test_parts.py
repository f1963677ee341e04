"""Parts that a unit should have: which are missing, too many, or not in their place."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.places import Box, WholeUnit
from inspector.core.recipes import ExpectedPart
from inspector.core.records import Finding
from inspector.results.fusing import Fused
from inspector.results.parts import WrongPart, assigned, wrong_parts

SCREWS = ExpectedPart(
    name="screw", count=4, places_px=((50, 50), (350, 50), (50, 250), (350, 250)), tolerance_px=12
)


def at(x_px: float, y_px: float, *, confidence: float = 0.9, side_px: float = 20) -> Fused:
    half = side_px / 2
    box = Box(left_px=x_px - half, top_px=y_px - half, right_px=x_px + half, bottom_px=y_px + half)
    finding = Finding(code_index=0, confidence=confidence, place=box, model="parts")
    return Fused(finding=finding, frames_seen=3)


def wrong(*found: Fused, expected: ExpectedPart = SCREWS) -> list[WrongPart]:
    return list(wrong_parts(found, expected, frames=3))


def test_parts_in_their_places_are_right_wherever_within_the_tolerance() -> None:
    assert wrong(*(at(x + 7, y - 7) for x, y in SCREWS.places_px)) == []


def test_a_missing_part_is_told_where_it_was_expected() -> None:
    [missing] = wrong(*(at(x, y) for x, y in SCREWS.places_px[1:]))
    assert (missing.code, missing.part, missing.confidence) == ("missing", "screw", 1.0)
    assert isinstance(missing.place, Box)
    assert missing.place.middle_px == (50, 50)


def test_a_moved_part_is_displaced_and_says_by_how_much() -> None:
    [moved] = wrong(at(50, 90), *(at(x, y) for x, y in SCREWS.places_px[1:]))
    assert moved.code == "displaced"
    assert moved.displaced_px == pytest.approx(40)
    assert isinstance(moved.place, Box)
    assert moved.place.middle_px == (50, 90)


def test_one_too_many_is_extra_where_it_lies() -> None:
    [extra] = wrong(*(at(x, y) for x, y in SCREWS.places_px), at(200, 150))
    assert extra.code == "extra"
    assert isinstance(extra.place, Box)
    assert extra.place.middle_px == (200, 150)


def test_a_picture_in_which_nothing_is_seen_lacks_every_part() -> None:
    assert [one.code for one in wrong()] == ["missing"] * 4
    some = ExpectedPart(name="clip", count=2)
    assert [(one.code, one.place) for one in wrong(expected=some)] == [("missing", WholeUnit())] * 2


def test_without_places_only_the_number_counts_and_the_least_sure_are_too_many() -> None:
    two = ExpectedPart(name="clip", count=2)
    assert wrong(at(10, 10), at(300, 200), expected=two) == []
    [extra] = wrong(at(1, 1, confidence=0.6), at(2, 2), at(3, 3), expected=two)
    assert (extra.code, extra.confidence) == ("extra", 0.6)


def test_neighbours_do_not_take_each_others_place() -> None:
    """The nearest first would leave the second part without a place within its tolerance."""
    pair = ExpectedPart(name="pin", count=2, places_px=((0, 0), (10, 0)), tolerance_px=8)
    assert wrong(at(4, 0), at(-6, 0), expected=pair) == []


@given(st.integers(0, 5), st.integers(0, 5), st.randoms(use_true_random=False))
def test_the_assignment_is_the_cheapest(rows: int, columns: int, rng: random.Random) -> None:
    costs = [
        [rng.choice([0.0, 1.0, rng.random() * 9, 1e9]) for _ in range(columns)] for _ in range(rows)
    ]
    chosen = assigned(costs, columns)
    pairs = [(row, column) for row, column in enumerate(chosen) if column is not None]
    assert len(pairs) == min(rows, columns)
    assert len({column for _, column in pairs}) == len(pairs)
    fewer = min(rows, columns)
    best = min(
        (
            sum(costs[r][c] for r, c in zip(of_rows, of_columns, strict=True))
            for of_rows in itertools.combinations(range(rows), fewer)
            for of_columns in itertools.permutations(range(columns), fewer)
        ),
        default=0.0,
    )
    assert sum(costs[r][c] for r, c in pairs) == pytest.approx(best)


def test_500_units_with_parts_missing_doubled_and_moved_are_all_right() -> None:
    rng = random.Random(19)
    places = [(80.0 + 120 * (n % 3), 90.0 + 160 * (n // 3)) for n in range(6)]
    expected = ExpectedPart(name="part", count=6, places_px=tuple(places), tolerance_px=15)
    for _ in range(500):
        want: Counter[str] = Counter()
        found = []
        for x, y in places:
            fate = rng.choice(["right"] * 6 + ["missing", "doubled", "moved"])
            turn, jitter = rng.uniform(0, 2 * math.pi), rng.uniform(0, 14.9)
            near = (x + jitter * math.cos(turn), y + jitter * math.sin(turn))
            if fate == "missing":
                want["missing"] += 1
                continue
            if fate == "moved":
                away = rng.uniform(15.5, 40)
                found.append(at(x + away * math.cos(turn), y + away * math.sin(turn)))
                want["displaced"] += 1
                continue
            found.append(at(*near))
            if fate == "doubled":
                found.append(at(x + 50, y + 50))
                want["extra"] += 1
        told = Counter(one.code for one in wrong(*rng.sample(found, len(found)), expected=expected))
        # A part too many beside one that is missing may be the missing one, out of its place.
        paired = min(want["extra"], want["missing"])
        assert told["displaced"] == want["displaced"] + paired
        assert told["extra"] == want["extra"] - paired
        assert told["missing"] == want["missing"] - paired
