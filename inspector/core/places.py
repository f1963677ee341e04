"""Places on a picture or a unit: pure arithmetic, in pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Point = tuple[float, float]
"""x and y."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """An upright rectangle, by its corners."""

    left_px: float
    top_px: float
    right_px: float
    bottom_px: float

    @property
    def around(self) -> Box:
        """The upright box around it: itself."""
        return self

    @property
    def middle_px(self) -> Point:
        """The point half-way between its sides."""
        return (self.left_px + self.right_px) / 2, (self.top_px + self.bottom_px) / 2

    @property
    def area_px(self) -> float:
        """In square pixels; 0 for a box that is none, as clipping leaves behind."""
        return max(0.0, self.right_px - self.left_px) * max(0.0, self.bottom_px - self.top_px)

    @property
    def corners_px(self) -> tuple[Point, ...]:
        """Clockwise as seen, from the top left."""
        left, top, right, bottom = self.left_px, self.top_px, self.right_px, self.bottom_px
        return (left, top), (right, top), (right, bottom), (left, bottom)


@dataclass(frozen=True, slots=True, kw_only=True)
class Polygon:
    """An area with straight sides that do not cross each other; at least three corners."""

    points_px: tuple[Point, ...]
    """In order, either way round; the last side leads back to the first."""

    @property
    def around(self) -> Box:
        """The upright box around it."""
        xs, ys = zip(*self.points_px, strict=True)
        return Box(left_px=min(xs), top_px=min(ys), right_px=max(xs), bottom_px=max(ys))

    @property
    def area_px(self) -> float:
        """In square pixels."""
        return abs(_signed_area(self.points_px))

    @property
    def middle_px(self) -> Point:
        """Its centre of gravity; of one without an area, the middle of the box around it."""
        area = _signed_area(self.points_px)
        if area == 0:
            return self.around.middle_px
        x_sum = y_sum = 0.0
        for (x, y), (next_x, next_y) in _sides(self.points_px):
            cross = x * next_y - next_x * y
            x_sum += (x + next_x) * cross
            y_sum += (y + next_y) * cross
        box = self.around
        return (
            min(max(x_sum / (6 * area), box.left_px), box.right_px),
            min(max(y_sum / (6 * area), box.top_px), box.bottom_px),
        )

    @property
    def corners_px(self) -> tuple[Point, ...]:
        """Its points."""
        return self.points_px


@dataclass(frozen=True, slots=True)
class WholeUnit:
    """No particular place: the claim is about the unit as a whole."""


WHOLE_UNIT = WholeUnit()
Place = Box | Polygon | WholeUnit


def clipped(points_px: Sequence[Point], to: Box) -> tuple[Point, ...]:
    """The part of an area within a box; fewer than three points if there is none.

    Sutherland and Hodgman's way, side by side: a part that the box cuts in two stays one area,
    joined along the box's side.
    """
    points = list(points_px)
    for axis, limit, sign in (
        (0, to.left_px, 1.0),
        (0, to.right_px, -1.0),
        (1, to.top_px, 1.0),
        (1, to.bottom_px, -1.0),
    ):
        points = _kept_on_one_side(points, axis, limit, sign)
    kept: list[Point] = []
    for point in points:
        if not kept or point != kept[-1]:
            kept.append(point)
    if len(kept) > 1 and kept[0] == kept[-1]:
        kept.pop()
    return tuple(kept)


def hull(points_px: Iterable[Point]) -> tuple[Point, ...]:
    """The convex hull of some points (Andrew's monotone chain)."""
    points = sorted(set(points_px))
    if len(points) < 3:  # noqa: PLR2004 - no area
        return tuple(points)

    def chain(ordered: Iterable[Point]) -> list[Point]:
        line: list[Point] = []
        for point in ordered:
            while len(line) > 1 and _turn(line[-2], line[-1], point) <= 0:
                line.pop()
            line.append(point)
        return line[:-1]

    return tuple(chain(points) + chain(reversed(points)))


def _kept_on_one_side(points: list[Point], axis: int, limit: float, sign: float) -> list[Point]:
    kept: list[Point] = []
    for here, there in _sides(points):
        inside, next_inside = (sign * (p[axis] - limit) >= 0 for p in (here, there))
        if inside:
            kept.append(here)
        if inside != next_inside:
            share = (limit - here[axis]) / (there[axis] - here[axis])
            crossing = [h + share * (t - h) for h, t in zip(here, there, strict=True)]
            crossing[axis] = limit
            kept.append((crossing[0], crossing[1]))
    return kept


def _sides(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    return zip(points, (*points[1:], *points[:1]), strict=True)


def _signed_area(points: Sequence[Point]) -> float:
    return sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in _sides(points)) / 2


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
