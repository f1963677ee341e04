"""Which of the parts that a unit should have are missing, too many, or not in their place: pure.

All parts of a kind are assigned to their places together: first so that as many as possible lie
within the tolerance, then so that the distances are shortest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inspector.core.places import Box, Place, WholeUnit
from inspector.core.recipes import DISPLACED, EXTRA, MISSING, ExpectedPart
from inspector.results.fusing import Fused

_FAR = 1e9
"""More than any distance on a unit: added to the cost of a pair beyond the tolerance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongPart:
    """A part that is not as it should be."""

    code: str
    """`missing`, `extra` or `displaced`."""
    part: str
    place: Place
    """Where it was found; a missing one: where it was expected, or the whole unit."""
    confidence: float
    """Of the model, for a part that was found; 1 for one that was not."""
    frames_seen: int
    model: str = ""
    displaced_px: float | None = None
    """How far a displaced one lies from its place."""


def wrong_parts(
    found: Sequence[Fused], expected: ExpectedPart, *, frames: int
) -> Iterator[WrongPart]:
    """What is wrong with the parts of one kind, of which `found` are there.

    `frames`: how many were inspected; a missing part was seen in none of them.
    """
    if not expected.places_px:
        yield from _by_number(found, expected, frames)
        return
    there = [one for one in found if one.finding.box is not None]
    partners = assigned(
        [
            [_cost(_distance_px(one, place), expected.tolerance_px) for place in expected.places_px]
            for one in there
        ],
        len(expected.places_px),
    )
    for one, partner in zip(there, partners, strict=True):
        if partner is None:
            yield _found_wrong(EXTRA, one, expected)
            continue
        away_px = _distance_px(one, expected.places_px[partner])
        if away_px > expected.tolerance_px:
            yield _found_wrong(DISPLACED, one, expected, displaced_px=away_px)
    for at, place in enumerate(expected.places_px):
        if at not in partners:
            yield _missing(expected, _around(place, expected.tolerance_px), frames)


def _by_number(found: Sequence[Fused], expected: ExpectedPart, frames: int) -> Iterator[WrongPart]:
    for _ in range(expected.count - len(found)):
        yield _missing(expected, WholeUnit(), frames)
    surest_first = sorted(found, key=lambda one: -one.finding.confidence)
    for one in surest_first[expected.count :]:
        yield _found_wrong(EXTRA, one, expected)


def _missing(expected: ExpectedPart, place: Place, frames: int) -> WrongPart:
    return WrongPart(
        code=MISSING, part=expected.name, place=place, confidence=1.0, frames_seen=frames
    )


def _found_wrong(
    code: str, one: Fused, expected: ExpectedPart, *, displaced_px: float | None = None
) -> WrongPart:
    return WrongPart(
        code=code,
        part=expected.name,
        place=one.finding.place,
        confidence=one.finding.confidence,
        frames_seen=one.frames_seen,
        model=one.finding.model,
        displaced_px=displaced_px,
    )


def _distance_px(one: Fused, place: tuple[float, float]) -> float:
    box = one.finding.box
    if box is None:
        return math.inf
    x_px, y_px = (box.left_px + box.right_px) / 2, (box.top_px + box.bottom_px) / 2
    return math.hypot(x_px - place[0], y_px - place[1])


def _cost(distance_px: float, tolerance_px: float) -> float:
    return distance_px if distance_px <= tolerance_px else _FAR + distance_px


def _around(place: tuple[float, float], reach_px: float) -> Box:
    (x, y), reach = place, max(reach_px, 1.0)
    return Box(left_px=x - reach, top_px=y - reach, right_px=x + reach, bottom_px=y + reach)


def assigned(costs: Sequence[Sequence[float]], columns: int) -> list[int | None]:
    """For each row the column that it gets, each column once, at the least cost in all.

    With more rows than columns some get none. The Hungarian method, as every textbook has it; some
    dozens of parts take well under a millisecond.
    """
    rows = len(costs)
    if rows > columns:
        turned = assigned([[row[at] for row in costs] for at in range(columns)], rows)
        of_row: list[int | None] = [None] * rows
        for column, row in enumerate(turned):
            if row is not None:
                of_row[row] = column
        return of_row
    # Potentials of rows and columns; `row_of[0]` is the row that is being placed, columns from 1.
    of_rows, of_columns = [0.0] * (rows + 1), [0.0] * (columns + 1)
    row_of = [0] * (columns + 1)
    for row in range(1, rows + 1):
        row_of[0] = row
        _place(costs, of_rows, of_columns, row_of)
    result: list[int | None] = [None] * rows
    for column in range(1, columns + 1):
        if row_of[column]:
            result[row_of[column] - 1] = column - 1
    return result


def _place(
    costs: Sequence[Sequence[float]],
    of_rows: list[float],
    of_columns: list[float],
    row_of: list[int],
) -> None:
    """Find the cheapest way to place row `row_of[0]`, others moving over if need be."""
    columns = len(of_columns) - 1
    least, came_from = [math.inf] * (columns + 1), [0] * (columns + 1)
    visited = [False] * (columns + 1)
    at = 0
    while True:
        visited[at] = True
        row, step, nearest = row_of[at], math.inf, 0
        for column in range(1, columns + 1):
            if visited[column]:
                continue
            cost = costs[row - 1][column - 1] - of_rows[row] - of_columns[column]
            if cost < least[column]:
                least[column], came_from[column] = cost, at
            if least[column] < step:
                step, nearest = least[column], column
        for column in range(columns + 1):
            if visited[column]:
                of_rows[row_of[column]] += step
                of_columns[column] -= step
            else:
                least[column] -= step
        at = nearest
        if row_of[at] == 0:
            break
    while at:
        row_of[at], at = row_of[came_from[at]], came_from[at]
