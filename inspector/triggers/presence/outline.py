"""Measures where a unit lies in a frame: its four edges against the belt, to parts of a pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.records import Image, Outline

Floats = NDArray[np.floating[Any]]

_WIDE = (-64, 32, 2)
_CLOSE = (-10, 10, 1)
"""Edges are searched from this far inside to this far outside the coarse place, in these steps;
then around where they were found. Coarse places include shadows, so they are rather too large."""
_CELL_PX = 12
"""Each edge is measured once in this many pixels along a side."""
_CORNER_SHARE = 0.05
"""As a share of a side, left out at each end: corners are round and neighbours' edges begin
there."""
_FEWEST = 6
_DEEPEST_SHADOW = 0.55
_OUTSTANDING = 0.2
"""The share of a unit's difference from the belt that must remain if shaded belt counts as belt."""
_FEWEST_SIDES = 2
"""The fewest sides: one gives neither size nor turn."""
_INLIER_PX = 1.5
_INLIERS = 0.45
"""Share of a side's measurements that must lie on one line."""
_FAINTEST = 6.0
"""Grey levels, summed over the colours, that an edge must step from the belt at least."""
_UPRIGHT_DEG = 45.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """The coarse place of a unit, and its surroundings. Frame pixels; a pixel is 1 wide."""

    points: Floats
    """(n, 2): x and y of places that it covers, its outermost among them."""
    cell_px: tuple[float, float]
    """The width and height of the area that a point stands for."""
    belt: NDArray[np.float32]
    """(rows, columns, 3): the empty belt in the present light, small, as in the frame."""
    belt_px: tuple[float, float, float, float]
    """x, y, width, height of the part of the frame that `belt` stands for."""
    free_px: tuple[float, float, float, float]
    """Left, top, right, bottom: beyond these lies another unit, or nothing is searched."""


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """One measured side: outward from the coarse side, along it."""

    middle: Floats
    """(2,): the middle of the coarse side."""
    outward: Floats
    along: Floats
    at_px: Floats
    """(n,): where along the side, from its middle."""
    out_px: Floats
    """(n,): how far outward from the coarse side the edge is there."""

    @property
    def slope(self) -> float:
        return _line(self.at_px, self.out_px)[0]


def find_outline(image: Image, place: Place) -> Outline | None:
    """Return the outline of the unit at `place`; None if too little of it can be seen.

    Sides that do not stand out against the belt stay as in the coarse place, if two others were
    found. About 8 ms for a unit of 700 pixels. Any thread.
    """
    coarse = _coarse(place)
    if coarse is None:
        return None
    sides: list[_Side | None] = [None] * 4
    for again in (False, True):
        sides = [
            _measured(image, place, coarse, index, _CLOSE if again and sides[index] else _WIDE)
            for index in range(4)
        ]
        if sum(side is not None for side in sides) < _FEWEST_SIDES:
            return None
        coarse = _fitted(coarse, sides)
    return coarse


def _coarse(place: Place) -> Outline | None:
    """The smallest rectangle around the points, upright within 45 degrees."""
    if len(place.points) < _FEWEST:
        return None
    corners = cv2.boxPoints(cv2.minAreaRect(place.points.astype(np.float32)))
    middle = corners.mean(axis=0)
    edges = np.roll(corners, -1, axis=0) - corners
    angles = np.degrees(np.arctan2(edges[:, 1], edges[:, 0]))
    first = int(np.argmin(np.abs(angles)))
    turn = float(angles[first])
    cosine, sine = abs(math.cos(math.radians(turn))), abs(math.sin(math.radians(turn)))
    wide, high = place.cell_px
    return Outline(
        centre_x_px=float(middle[0]),
        centre_y_px=float(middle[1]),
        width_px=float(np.hypot(*edges[first])) + wide * cosine + high * sine,
        height_px=float(np.hypot(*edges[(first + 1) % 4])) + high * cosine + wide * sine,
        turn_deg=max(-_UPRIGHT_DEG, min(_UPRIGHT_DEG, turn)),
    )


def _measured(
    image: Image, place: Place, outline: Outline, index: int, reach_px: tuple[int, int, int]
) -> _Side | None:
    """Side 0 right, 1 bottom, 2 left, 3 top; None where no edge can be found."""
    turn = math.radians(outline.turn_deg + 90 * index)
    outward = np.array([math.cos(turn), math.sin(turn)])
    along = np.array([-outward[1], outward[0]])
    lengths = (outline.height_px, outline.width_px)
    length_px = lengths[index % 2] * (1 - 2 * _CORNER_SHARE)
    count = int(length_px // _CELL_PX)
    if count < _FEWEST:
        return None
    middle = np.array([outline.centre_x_px, outline.centre_y_px])
    middle = middle + outward * lengths[(index + 1) % 2] / 2
    at_px = (np.arange(count) - (count - 1) / 2) * _CELL_PX
    out_px = np.arange(*reach_px) + reach_px[2] / 2
    differs = _differences(image, place, (middle, outward, along), (at_px, out_px))
    spots = middle + outward * out_px[:, None, None] + along * at_px[None, :, None]
    edge_px = _edges(np.where(_is_free(place, spots), differs, 0), out_px)
    keep = _on_a_line(at_px, edge_px)
    if keep is None:
        return None
    return _Side(middle, outward, along, at_px[keep], edge_px[keep])


def _differences(
    image: Image,
    place: Place,
    axes: tuple[Floats, Floats, Floats],
    at: tuple[Floats, Floats],
) -> NDArray[np.float32]:
    """(out, at): how much the picture differs from the belt, summed over the colours."""
    (middle, outward, along), (at_px, out_px) = axes, at
    fine_px = np.arange(len(at_px) * _CELL_PX) - (len(at_px) * _CELL_PX - 1) / 2
    step_px = float(out_px[1] - out_px[0])
    strip = _sampled(image, middle - 0.5, (outward * step_px, along), (out_px / step_px, fine_px))
    strip = cv2.resize(strip, (len(at_px), len(out_px)), interpolation=cv2.INTER_AREA)
    x, y, width, height = place.belt_px
    scale = np.array([place.belt.shape[1] / width, place.belt.shape[0] / height])
    origin = (middle - np.array([x, y])) * scale - 0.5
    steps = (outward * scale * step_px, along * scale * _CELL_PX)
    belt = _sampled(place.belt, origin, steps, (out_px / step_px, at_px / _CELL_PX))
    return _unlike(strip.astype(np.float32), belt.astype(np.float32))


def _unlike(seen: NDArray[np.float32], belt: NDArray[np.float32]) -> NDArray[np.float32]:
    """(out, at): grey levels, summed over the colours, by which a picture differs from belt.

    Shaded belt counts as belt, where the unit still stands out then.
    """
    plain: NDArray[np.float32] = np.abs(seen - belt).sum(axis=2)
    share = (seen * belt).sum(axis=2) / np.maximum((belt * belt).sum(axis=2), 1)
    shaded = belt * np.clip(share, _DEEPEST_SHADOW, 1)[..., None]
    unshaded: NDArray[np.float32] = np.abs(seen - shaded).sum(axis=2)
    inside = slice(0, max(1, len(seen) // 3))
    stands_out = np.median(unshaded[inside]) > max(
        2 * _FAINTEST, _OUTSTANDING * float(np.median(plain[inside]))
    )
    return unshaded if stands_out else plain


def _sampled(
    picture: NDArray[Any],
    origin: Floats,
    steps: tuple[Floats, Floats],
    counts: tuple[Floats, Floats],
) -> NDArray[Any]:
    """(out, at, 3): the picture on a grid of steps outward and along, between its pixels."""
    (outward, along), (out, at) = steps, counts
    start = origin + outward * out[0] + along * at[0]
    matrix = np.array([[along[0], outward[0], start[0]], [along[1], outward[1], start[1]]])
    return np.asarray(
        cv2.warpAffine(
            picture,
            matrix,
            (len(at), len(out)),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def _is_free(place: Place, spots: Floats) -> NDArray[np.bool_]:
    """(out, at): where this unit's edge can be; elsewhere is another unit, or nothing."""
    left, top, right, bottom = place.free_px
    x, y = spots[..., 0], spots[..., 1]
    return np.asarray((x >= left) & (x <= right) & (y >= top) & (y <= bottom), np.bool_)


def _edges(differs: NDArray[np.float32], out_px: Floats) -> Floats:
    """(at,): how far out the unit ends; nan if that cannot be measured.

    From outside, it is the first place that differs from the belt by half as much as the unit just
    inside its edge: a shadow differs less, and blur has its middle there.
    """
    smooth = np.asarray(cv2.blur(differs, (1, 3), borderType=cv2.BORDER_REPLICATE), np.float32)
    inside = smooth[out_px < 0]
    inside = inside[inside > _FAINTEST]
    faint = max(_FAINTEST, 0.35 * float(np.median(inside)) if inside.size else 0.0)
    edge_px = _outermost(smooth, faint, out_px)
    if not np.isfinite(edge_px).any():
        return edge_px
    middle_px = np.where(np.isfinite(edge_px), edge_px, np.nanmedian(edge_px))
    depth = out_px[:, None] - middle_px[None, :]
    skin = (depth < -3) & (depth > -9)  # noqa: PLR2004 - px: behind the blur, before the copper
    if not skin.any():
        return edge_px
    return _outermost(smooth, max(_FAINTEST, 0.5 * float(np.median(smooth[skin]))), out_px)


def _outermost(differs: NDArray[np.float32], level: float, out_px: Floats) -> Floats:
    """(at,): the outermost place where the level is crossed, between the pixels."""
    over = differs > level
    last = len(out_px) - 1 - np.argmax(over[::-1], axis=0)
    columns = np.arange(differs.shape[1])
    usable = over.any(axis=0) & (last < len(out_px) - 1)
    last = np.minimum(last, len(out_px) - 2)
    inner, outer = differs[last, columns], differs[last + 1, columns]
    share = np.clip((inner - level) / np.maximum(inner - outer, 1e-6), 0, 1)
    return np.where(usable, out_px[last] + share * (out_px[1] - out_px[0]), np.nan)


def _on_a_line(at_px: Floats, edge_px: Floats) -> NDArray[np.intp] | None:
    """The measurements on the line that most agree with; None if too few do."""
    usable = np.flatnonzero(np.isfinite(edge_px))
    if len(usable) < _FEWEST:
        return None
    at, edge = at_px[usable], edge_px[usable]
    first, second = np.triu_indices(len(at), k=max(2, len(at) // 4))
    slopes = (edge[second] - edge[first]) / (at[second] - at[first])
    order = np.argsort(slopes)[:: max(1, len(slopes) // 64)]
    slopes = slopes[order]
    offsets = (edge[first] - at[first] * (edge[second] - edge[first]) / (at[second] - at[first]))[
        order
    ]
    off_px = np.abs(edge[None, :] - slopes[:, None] * at[None, :] - offsets[:, None])
    best = int(np.argmin(np.minimum(off_px, _INLIER_PX).sum(axis=1)))
    near = off_px[best] <= _INLIER_PX
    if np.count_nonzero(near) < max(_FEWEST, _INLIERS * len(at_px)):
        return None
    slope, offset = _line(at[near], edge[near])
    near = np.abs(edge - slope * at - offset) <= _INLIER_PX
    return np.asarray(usable[near], np.intp)


def _line(at: Floats, edge: Floats) -> tuple[float, float]:
    """Slope and offset of the line nearest to the measurements, by least squares."""
    middle, height = float(at.mean()), float(edge.mean())
    off = at - middle
    slope = float(np.dot(off, edge - height) / max(np.dot(off, off), 1e-9))
    return slope, height - slope * middle


def _fitted(coarse: Outline, sides: list[_Side | None]) -> Outline:
    """The rectangle with one turn for all sides, each where it was measured."""
    found = [side for side in sides if side is not None]
    weights = [float(np.sum((side.at_px - side.at_px.mean()) ** 2)) for side in found]
    leaning = float(np.average([side.slope for side in found], weights=weights))
    # A side that leans outward further along turns clockwise by as much, seen from outside.
    turn = math.radians(coarse.turn_deg) - math.atan(leaning)
    reach: list[float] = []
    for index, side in enumerate(sides):
        angle = turn + math.pi / 2 * index
        outward = np.array([math.cos(angle), math.sin(angle)])
        if side is None:
            lengths = (coarse.width_px, coarse.height_px)
            reach.append(lengths[index % 2] / 2)
            continue
        spots = side.middle + side.outward * side.out_px[:, None] + side.along * side.at_px[:, None]
        spots = spots - np.array([coarse.centre_x_px, coarse.centre_y_px])
        reach.append(float(np.median(spots @ outward)))
    right, bottom, left, top = reach
    x, y = (right - left) / 2, (bottom - top) / 2
    cosine, sine = math.cos(turn), math.sin(turn)
    return Outline(
        centre_x_px=coarse.centre_x_px + x * cosine - y * sine,
        centre_y_px=coarse.centre_y_px + x * sine + y * cosine,
        width_px=right + left,
        height_px=bottom + top,
        turn_deg=max(-_UPRIGHT_DEG, min(_UPRIGHT_DEG, math.degrees(turn))),
    )
