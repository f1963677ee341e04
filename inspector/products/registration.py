"""Finds where a unit's picture lies on its reference: pure arithmetic on pictures.

Inverse-compositional Gauss-Newton (Baker and Matthews, "Lucas-Kanade 20 Years On", 2004): the
derivatives are the reference's, so that everything but the comparison itself is computed once per
reference. Both pictures are compared as contrasts, which neither light nor tone changes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.geometry import Affine, between_centres, moved
from inspector.core.records import Image

Floats = NDArray[np.float32]
"""(height, width): grey levels, or contrasts."""
Matrix = NDArray[np.floating[Any]]
"""(3, 3): an affine movement, in coordinates whose 0, 0 is the corner of the first pixel."""

FINEST_PX = 400
"""The longer side, at most, at which pictures are compared last. A 742x676 board is found to 0.15
pixels there, as well as by OpenCV's ECC at full scale."""
COARSEST_PX = 40
"""The longer side, at least, at which the search begins: tracks blur there to a grey whose period
is no trap."""
NARROWEST_PX = 16
"""The shorter side, at least."""
SCALES = 4
"""At how many scales pictures are compared, each half of the one before; fewer for small ones."""
STEPS = (4, 6, 8, 12)
"""Most steps at each of them, from fine to coarse."""
STILL_PX = 0.02
"""A step that moves nothing by more than this many pixels of its scale is the last."""

WILD_SHARE = 0.3
"""A step that turns or enlarges by more than this has diverged."""

CONTRAST_SHARE = 1 / 16
"""Of the longer side: the surroundings that make a pixel a contrast. Twice as much, and the belt
beside a board, or its absence, moves the place found by 0.2 pixels."""
FLAT_LEVELS = 4.0
"""A contrast of this many grey levels counts half: smaller ones are noise on a plain surface."""
OUTLIER = 1.0
"""A difference larger than this, in standard deviations of the picture, has no more weight: damage,
a label, a reflection."""
BORDER_SHARE = 0.03
"""Of the longer side: so close to its border a unit's picture shows what lies beside the unit."""
SPREAD_LEVELS = 10.0
"""A pixel where units differ by this many grey levels has half the weight."""

LIKENESS_SCALE = 1
"""At a quarter of a 742x676 board blur and noise weigh little: with 3 pixels of blur or 25 grey
levels of noise the right design has at least 0.945, and a foreign one at most 0.16."""
LIKENESS_SHARE = 1 / 4
HOPELESS_BELOW = 0.4
"""A picture less like the reference than this is not aligned more finely: that takes most of the
time, and right designs have 0.9 by then."""
LEAST_SEEN_SHARE = 0.5
"""A picture that shows less of the reference than this is not compared with it."""

SEARCH_SCALE = 2
SEARCH_TURNS = (-4.0, -2.0, 0.0, 2.0, 4.0)
SEARCH_SIZES = (0.95, 1.0, 1.05)
SEARCH_BEST = 3
"""How many places of the wide search start a narrow one."""
FOUND_FROM = 0.93
"""A likeness that ends the search. A right design that the narrow search put a
dozen pixels beside its place had 0.66 to 0.87."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far from where it is expected a unit may lie."""

    shift_share: float = 0.1
    """Of the longer side of the reference."""
    turn_deg: float = 6.0
    size_share: float = 0.08
    """How much its size may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Where a picture lies on the reference, and its likeness there."""

    matrix: Affine
    """From pixels of the picture to those of the reference."""
    likeness: float
    """Correlation of the contrasts, -1 to 1: 0.95 to 0.99 for the right design, below 0.2 for
    another; 0 where the two could not be compared."""
    shift_px: float
    """How far the middle of the reference lies from where it was expected, in its pixels."""
    turn_deg: float
    """Clockwise as seen, from what was expected."""
    scale: float
    within_limits: bool
    turned: bool = False
    """Whether it would fit if it were turned by 180 degrees, and does not as it is. The other
    fields are for the picture as it is."""

    def fits(self, least_likeness: float) -> bool:
        """Whether this is the unit that the reference shows, and where it may be."""
        return self.within_limits and self.likeness >= least_likeness


class Registrar:
    """Finds pictures on one reference; everything about the reference is computed once.

    Immutable afterwards: several cameras and threads may use it at once.
    """

    def __init__(
        self,
        reference: Image | NDArray[np.uint8],
        deviation: NDArray[np.uint8] | None = None,
        *,
        limits: Limits | None = None,
    ) -> None:
        """Compute whatever needs no picture.

        `reference`: grey, or BGR. `deviation`: (height, width), by how many grey levels good units
        differ there: what differs anyway says little about the place.
        """
        self._limits = limits or Limits()
        self.height_px, self.width_px = reference.shape[:2]
        self._shrink = max(1, math.ceil(max(self.width_px, self.height_px) / FINEST_PX))
        scales = _scales_of(self.width_px // self._shrink, self.height_px // self._shrink)
        greys = _pyramid(reference, self._shrink, scales)
        weights = _pyramid(_weight(reference.shape[:2], deviation), self._shrink, scales)
        self._scales = [
            _Scale(grey, weight / np.float32(255), self._shrink * 2**halved)
            for halved, (grey, weight) in enumerate(zip(greys, weights, strict=True))
        ]

    def register(
        self,
        picture: Image | NDArray[np.uint8],
        expected: Affine | None = None,
        *,
        start: Affine | None = None,
    ) -> Pose:
        """Where a picture, which may be a whole frame, lies on the reference.

        `expected`: from its pixels to the reference's, as far as is known; None: middle on middle.
        `start`: where to search first, if that is known better.

        Some 5 ms of CPU for a unit of 742x676 pixels that lies within 3 % of where it is searched;
        five times as much for one that lies elsewhere, or is another.
        """
        at = _matrix(expected or self._middle_on_middle(picture))
        pose = self._found(picture, at, at if start is None else _matrix(start))
        if pose.likeness >= FOUND_FROM:
            return pose
        half_turn = _turn(180.0, 1.0, self._middle_px) @ at
        other = self._found(picture, half_turn, half_turn)
        return replace(pose, turned=other.likeness >= FOUND_FROM)

    def _found(self, picture: NDArray[np.uint8], at: Matrix, start: Matrix) -> Pose:
        """The narrow search, then the wide one if that does not find it."""
        near = self._part(picture, at, BORDER_SHARE)
        if near is None:
            return self._pose(at, at, 0.0)
        pose = self._narrow(near, at, start)
        if pose.likeness >= FOUND_FROM:
            return pose
        far = self._part(picture, at, self._limits.shift_share)
        begins = [] if far is None else self._places(far, at)
        poses = [self._narrow(near, at, begin) for begin in begins]
        return max([pose, *poses], key=lambda one: (one.within_limits, one.likeness))

    def _narrow(self, part: _Part, at: Matrix, start: Matrix) -> Pose:
        found = np.linalg.inv(start @ part.to_picture)
        compared = min(LIKENESS_SCALE, len(self._scales) - 1)
        likeness = 0.0
        for index in reversed(range(len(self._scales))):
            scale, grey = self._scales[index], part.greys[index]
            if index >= compared or likeness >= HOPELESS_BELOW:
                found = scale.aligned(grey, found, STEPS[index])
            if index == compared:
                likeness = scale.likeness(grey, found)
        if likeness >= HOPELESS_BELOW:
            likeness = self._scales[compared].likeness(part.greys[compared], found)
        return self._pose(np.linalg.inv(part.to_picture @ found), at, likeness)

    def _places(self, part: _Part, at: Matrix) -> list[Matrix]:
        """Where the reference is most like the picture, coarsely, the best first."""
        chosen = min(SEARCH_SCALE, len(self._scales) - 1)
        margin_px = self._limits.shift_share * max(self.width_px, self.height_px)
        found = []
        for turn_deg, size in itertools.product(SEARCH_TURNS, SEARCH_SIZES):
            turned = _turn(turn_deg, size, self._middle_px) @ at
            to_part = np.linalg.inv(turned @ part.to_picture)
            likeness, x_px, y_px = self._scales[chosen].best_shift(
                part.greys[chosen], to_part, margin_px
            )
            found.append((likeness, _shift(-x_px, -y_px) @ turned))
        found.sort(key=lambda one: -one[0])
        return [begin for _likeness, begin in found[:SEARCH_BEST]]

    def _part(self, picture: NDArray[np.uint8], at: Matrix, margin_share: float) -> _Part | None:
        """The part of the picture that may show the reference, with a margin; None: none."""
        margin_px = margin_share * max(self.width_px, self.height_px)
        back = np.linalg.inv(at)
        corners = [
            moved(_affine(back), x_px, y_px)
            for x_px in (-margin_px, self.width_px + margin_px)
            for y_px in (-margin_px, self.height_px + margin_px)
        ]
        xs, ys = zip(*corners, strict=True)
        height_px, width_px = picture.shape[:2]
        left, right = max(0, math.floor(min(xs))), min(width_px, math.ceil(max(xs)))
        top, bottom = max(0, math.floor(min(ys))), min(height_px, math.ceil(max(ys)))
        if min(right - left, bottom - top) < LEAST_SEEN_SHARE * min(self.width_px, self.height_px):
            return None
        greys = _pyramid(picture[top:bottom, left:right], self._shrink, len(self._scales))
        return _Part(_shift(left, top), greys)

    @property
    def _middle_px(self) -> tuple[float, float]:
        return self.width_px / 2, self.height_px / 2

    def _middle_on_middle(self, picture: NDArray[np.uint8]) -> Affine:
        height_px, width_px = picture.shape[:2]
        return _affine(_shift((self.width_px - width_px) / 2, (self.height_px - height_px) / 2))

    def _pose(self, matrix: Matrix, at: Matrix, likeness: float) -> Pose:
        change = matrix @ np.linalg.inv(at)
        x_px, y_px = moved(_affine(change), *self._middle_px)
        shift_px = math.hypot(x_px - self._middle_px[0], y_px - self._middle_px[1])
        turn_deg = math.degrees(math.atan2(change[1, 0], change[0, 0]))
        scale = math.hypot(change[0, 0], change[1, 0])
        limits, longer_px = self._limits, max(self.width_px, self.height_px)
        return Pose(
            matrix=_affine(matrix),
            likeness=likeness,
            shift_px=shift_px,
            turn_deg=turn_deg,
            scale=scale,
            within_limits=shift_px <= limits.shift_share * longer_px
            and abs(turn_deg) <= limits.turn_deg
            and abs(scale - 1) <= limits.size_share,
        )


class _Part(NamedTuple):
    """The part of a picture that is searched."""

    to_picture: Matrix
    greys: list[Floats]
    """At each scale of the reference."""


class _Scale:
    """The reference at one scale: its contrasts, and what they say about movements."""

    def __init__(self, grey: Floats, weight: Floats, factor: int) -> None:
        """`factor`: a pixel of this scale is so many pixels wide and high."""
        height, width = grey.shape
        self._enlarge = np.diag([factor, factor, 1.0])
        self._factor = factor
        self._size = (width, height)
        self._weight = weight
        self._contrast = _standardised(_contrast(grey, CONTRAST_SHARE), weight)
        self._shape = _contrast(grey, LIKENESS_SHARE)
        self._half = (width / 2, height / 2)
        self._radius = max(width, height) / 2
        across = cv2.Scharr(self._contrast, cv2.CV_32F, 1, 0, scale=1 / 32)
        down = cv2.Scharr(self._contrast, cv2.CV_32F, 0, 1, scale=1 / 32)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        x = (x + 0.5 - self._half[0]) / self._radius
        y = (y + 0.5 - self._half[1]) / self._radius
        # How the contrasts change with size, turn, shift to the right, and shift downwards.
        rows = [across * x + down * y, down * x - across * y, across, down]
        changes = np.stack([row.ravel() for row in rows])
        self._changes = changes * weight.ravel()
        self._solve = np.linalg.pinv(np.float64(self._changes @ changes.T))

    def aligned(self, grey: Floats, found: Matrix, steps: int) -> Matrix:
        """Refine the matrix from reference to picture, by Gauss-Newton steps."""
        contrast = _contrast(grey, CONTRAST_SHARE, longer_px=max(self._size))
        at = self._shrunk(found)
        for _ in range(steps):
            error = self._error(*self._seen(contrast, at))
            size, turn, x, y = self._solve @ np.float64(self._changes @ error.ravel())
            if not math.hypot(size, turn) < WILD_SHARE * self._radius:
                # Another design, or noise: no place is to be found, and the next step may lead
                # to none at all.
                break
            at = at @ np.linalg.inv(self._step(size / self._radius, turn / self._radius, x, y))
            if max(math.hypot(size, turn), math.hypot(x, y)) < STILL_PX:
                break
        return self._enlarge @ at @ np.linalg.inv(self._enlarge)

    def likeness(self, grey: Floats, found: Matrix) -> float:
        """Correlation of the contrasts where both are visible; 0 if that is too little."""
        seen, weight = self._seen(grey, self._shrunk(found))
        seen_weight = float(weight.sum())
        if seen_weight == 0 or seen_weight < LEAST_SEEN_SHARE * float(self._weight.sum()):
            return 0.0
        return _correlation(_contrast(seen, LIKENESS_SHARE), self._shape, weight)

    def best_shift(
        self, grey: Floats, found: Matrix, margin_px: float
    ) -> tuple[float, float, float]:
        """The best likeness of the picture to the reference, and its place.

        In pixels of the reference, to the right and downwards, `margin_px` away at most.
        """
        margin = max(1, round(margin_px / self._factor))
        width, height = self._size
        there = self._shrunk(found) @ _shift(-margin, -margin)
        seen = cv2.warpAffine(
            grey,
            np.array(between_centres(_affine(there))),
            (width + 2 * margin, height + 2 * margin),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        like = cv2.matchTemplate(
            _contrast(np.asarray(seen, np.float32), LIKENESS_SHARE),
            self._shape,
            cv2.TM_CCOEFF_NORMED,
        )
        _least, most, _where, (x, y) = cv2.minMaxLoc(like)
        return most, (x - margin) * float(self._factor), (y - margin) * float(self._factor)

    def _shrunk(self, found: Matrix) -> Matrix:
        return np.asarray(np.linalg.inv(self._enlarge) @ found @ self._enlarge)

    def _step(self, size: float, turn: float, x: float, y: float) -> Matrix:
        step = np.array([[1 + size, -turn, 0.0], [turn, 1 + size, 0.0], [0.0, 0.0, 1.0]])
        to_middle = _shift(-self._half[0], -self._half[1])
        back = _shift(self._half[0] + x, self._half[1] + y)
        return np.asarray(back @ step @ to_middle)

    def _seen(self, picture: Floats, at: Matrix) -> tuple[Floats, Floats]:
        """The picture in the place of the reference, and the weight of each of its pixels."""
        matrix = np.array(between_centres(_affine(at)))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        seen = cv2.warpAffine(
            picture, matrix, self._size, flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        weight = self._weight
        if not self._covers(picture, at):
            inside = cv2.warpAffine(
                np.ones(picture.shape, np.uint8),
                matrix,
                self._size,
                flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_CONSTANT,
            )
            weight = weight * inside
        return np.asarray(seen, np.float32), weight

    def _covers(self, picture: Floats, at: Matrix) -> bool:
        """Whether the picture shows every place of the reference that has weight."""
        width, height = self._size
        border = BORDER_SHARE * max(width, height)
        corners = [
            moved(_affine(at), x, y)
            for x in (border, width - border)
            for y in (border, height - border)
        ]
        return all(0 <= x <= picture.shape[1] and 0 <= y <= picture.shape[0] for x, y in corners)

    def _error(self, seen: Floats, weight: Floats) -> Floats:
        """The difference of the picture from the reference; 0 where it is not visible."""
        counted = seen * weight
        own = float(np.vdot(counted, seen))
        gain = float(np.vdot(counted, self._contrast)) / own if own > 0 else 1.0
        error = min(max(gain, 0.3), 3.0) * seen - self._contrast
        np.clip(error, -OUTLIER, OUTLIER, out=error)
        if weight is not self._weight:
            error *= weight > 0
        return error


def _scales_of(width_px: int, height_px: int) -> int:
    """The number of scales for a picture of this size at the finest one."""
    return max(
        1,
        sum(
            max(width_px, height_px) >= COARSEST_PX << halved
            and min(width_px, height_px) >= NARROWEST_PX << halved
            for halved in range(SCALES)
        ),
    )


def _pyramid(picture: NDArray[np.uint8], shrink: int, scales: int) -> list[Floats]:
    """The grey picture, shrunk by this factor, then halved repeatedly; each pixel is a mean."""
    height, width = picture.shape[0] // shrink, picture.shape[1] // shrink
    even = picture[: height * shrink, : width * shrink]
    grey = cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA)
    if grey.ndim > 2:  # noqa: PLR2004 - it has colours
        grey = cv2.cvtColor(grey, cv2.COLOR_BGR2GRAY)
    found = [grey.astype(np.float32)]
    while len(found) < scales:
        width, height = width // 2, height // 2
        whole = found[-1][: height * 2, : width * 2]
        smaller = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
        found.append(np.asarray(smaller, np.float32))
    return found


def _weight(shape: Sequence[int], deviation: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """(height, width), 0 to 255: how much each pixel says about the place."""
    height_px, width_px = shape
    border_px = min(math.ceil(BORDER_SHARE * max(shape)), min(shape) // 8)
    inner = (slice(border_px, height_px - border_px), slice(border_px, width_px - border_px))
    differ = np.float32(0) if deviation is None else deviation[inner] / np.float32(SPREAD_LEVELS)
    weight = np.zeros((height_px, width_px), np.uint8)
    weight[inner] = np.round(255 / (1 + differ * differ))
    return weight


def _contrast(grey: Floats, share: float, *, longer_px: int | None = None) -> Floats:
    """The difference of each pixel from its surroundings, relative to their variation."""
    window = max(3, round((longer_px or max(grey.shape)) * share)) | 1
    above = grey - cv2.blur(grey, (window, window))
    spread = np.sqrt(np.maximum(cv2.blur(above * above, (window, window)), 0))
    return np.asarray(above / (spread + np.float32(FLAT_LEVELS)), np.float32)


def _standardised(contrast: Floats, weight: Floats) -> Floats:
    """Normalise to mean 0 and standard deviation 1, by weight."""
    total = max(float(weight.sum()), 1e-6)
    above = contrast - np.float32((contrast * weight).sum() / total)
    spread = math.sqrt(float((above * above * weight).sum()) / total)
    return above / np.float32(max(spread, 1e-6))


def _correlation(one: Floats, other: Floats, weight: Floats) -> float:
    total = float(weight.sum())
    a = one - np.float32((one * weight).sum() / total)
    b = other - np.float32((other * weight).sum() / total)
    both = math.sqrt(float((a * a * weight).sum()) * float((b * b * weight).sum()))
    return float((a * b * weight).sum()) / both if both > 0 else 0.0


def _turn(turn_deg: float, size: float, around_px: tuple[float, float]) -> Matrix:
    """Turned clockwise and enlarged around a point."""
    turn = math.radians(turn_deg)
    cos, sin = size * math.cos(turn), size * math.sin(turn)
    x_px, y_px = around_px
    turned = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    return np.asarray(_shift(x_px, y_px) @ turned @ _shift(-x_px, -y_px))


def _shift(x_px: float, y_px: float) -> Matrix:
    return np.array([[1.0, 0.0, x_px], [0.0, 1.0, y_px], [0.0, 0.0, 1.0]])


def _matrix(affine: Affine) -> Matrix:
    return np.array((*affine, (0.0, 0.0, 1.0)), np.float64)


def _affine(matrix: Matrix) -> Affine:
    (a, b, c), (d, e, f) = matrix[:2].tolist()
    return (a, b, c), (d, e, f)
