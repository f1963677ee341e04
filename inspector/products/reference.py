"""What a good unit looks like, learned from several: pure arithmetic on pictures.

What most of the units show is the design, what only one shows is damage, and what differs from unit
to unit is natural variation. No examples of defects are needed: the units are compared with each
other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.geometry import between_centres, frame_matrix, moved, upright_matrix
from inspector.core.records import Image, Outline, Rect
from inspector.products.registration import Matrix, Pose, Registrar

FEWEST_UNITS = 3
"""If two units differ, it is unknown which is right."""
FITS = 0.6
"""The likeness from which on two units show the same design. Units of one design reach 0.95 to
0.99, others less than 0.2."""
DIFFERS_SHARE = 0.2
"""As a share of the design's contrast: a pixel that is lighter or darker by more differs."""
LEAST_LEVELS = 12.0
"""Grey levels that count as a difference at least: below that lies the noise of cameras."""
SMALLEST_PX = 10
"""Pixels of a place that differs, at least, once lines of one pixel are left away: edges that are
etched a little differently are such lines."""
MINORITY = 0.35
"""The share of the units that must differ in the same surroundings to make that natural there."""
SURROUNDINGS_SHARE = 0.02
"""As a share of the reference's longer side: how far around a differing place others are
searched."""
GAP_SHARE = 0.007
"""As a share of the longer side: parts closer than this are one mark: a code's cells, a line of
text."""
LABEL_SHARE = 0.25
"""As a share of the longer side: the largest size of a mark."""
DIFFERING_SHARE = 0.04
"""As a share of a mark's area: how much must differ between units for the mark to be individual."""
PAPER_SHARE = 0.35
"""As a share of a mark's longer side: how far the label that it is printed on may extend around
it."""
RIM_SHARE = 0.006
"""Of the longer side: what lies nearer to a unit's edge may be the belt, as outlines go."""
TONE_SHARE = 1 / 12
"""Of the longer side: light and tint are evened out over such a stretch."""
_TONE_PIXELS = 48
"""The longer side of the small picture of a unit's local brightness."""
_GAIN = (0.25, 4.0)
_SMALL_BOX_PX = 8
"""Places nearer to each other than this are one for people."""
_ROWS_AT_ONCE = 64


class Why(StrEnum):
    """Why a unit is not used for the reference. A closed list."""

    ANOTHER_DESIGN = "another_design"
    DIFFERS = "differs"
    """It shows something that the others do not."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sight:
    """A unit as a frame shows it."""

    image: Image
    """The frame, or a part of it."""
    outline: Outline
    """Where the unit lies in that image."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShownUnit:
    """A unit to learn from."""

    number: int
    """Its `unit.number`, by which people know it."""
    sights: tuple[Sight, ...]
    """At least one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeftOut:
    """A unit that was left out of the reference."""

    number: int
    picture: Image
    """As `UsedUnit.picture`; of another design: as it lies upright."""
    why: Why
    likeness: float
    """Likeness to the other units: the correlation of their contrasts."""
    places: tuple[Rect, ...]
    """Where it differs, in pixels of the reference, the largest first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UsedUnit:
    """A unit that the reference is made of."""

    number: int
    picture: Image
    """As it lies on the reference: (height, width, 3) uint8, BGR, the mean of its frames."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learned:
    """What a good unit looks like, and which units it was learned from."""

    mean: Image
    """(height, width, 3) uint8, BGR, in the pose that the units have by their outlines."""
    deviation: NDArray[np.uint8]
    """(height, width), grey levels by which frames of good units differ from the mean there."""
    used: tuple[UsedUnit, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NotLearned:
    """The units make no reference."""

    sentence: str
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """A unit whose frames are registered."""

    unit: ShownUnit
    likeness: float
    poses: tuple[tuple[Sight, Matrix], ...]
    """Each frame that fits, and the way from its pixels to those of the common picture."""


@dataclass(frozen=True, slots=True, eq=False)
class _Common:
    """The reference's geometry and tone, which every frame is brought to."""

    width_px: int
    height_px: int
    to_reference: Matrix
    """From the picture that all were registered onto."""
    tone: NDArray[np.float32]


def learn(units: Sequence[ShownUnit]) -> Learned | NotLearned:
    """Make a reference of the units that agree, and name those that do not.

    Some 0.1 s of one core for each unit of three frames of 740x680 pixels, and memory for two
    pictures of each.
    """
    if len(units) < FEWEST_UNITS:
        return NotLearned(
            sentence=f"{len(units)} units are too few to learn from: {FEWEST_UNITS} are needed"
        )
    placed, foreign = _placed_on_one(units)
    if 2 * len(placed) <= len(units):
        return NotLearned(
            sentence=f"the {len(units)} units do not show one design: at most {len(placed)} of them"
            " fit onto each other",
            left_out=tuple(foreign),
        )
    common = _common(placed)
    pictures = [_unit_picture(common, one) for one in placed]
    odd = _those_that_differ(placed, pictures)
    left_out = tuple(sorted((*foreign, *odd.values()), key=lambda one: one.number))
    used = [index for index in range(len(placed)) if index not in odd]
    if len(used) < FEWEST_UNITS:
        return NotLearned(
            sentence=f"{len(used)} of {len(units)} units agree with each other:"
            f" {FEWEST_UNITS} are needed",
            left_out=left_out,
        )
    mean = _median([pictures[index] for index in used])
    return Learned(
        mean=mean,
        deviation=_deviation(common, [placed[index] for index in used], mean),
        used=tuple(
            UsedUnit(number=placed[index].unit.number, picture=pictures[index]) for index in used
        ),
        left_out=left_out,
    )


def upright(sight: Sight) -> Image:
    """The unit's picture, turned upright, at its own scale."""
    matrix = np.array(between_centres(upright_matrix(sight.outline)))
    size = (max(1, round(sight.outline.width_px)), max(1, round(sight.outline.height_px)))
    picture = cv2.warpAffine(sight.image, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(picture, np.uint8)


def _placed_on_one(units: Sequence[ShownUnit]) -> tuple[list[_Placed], list[LeftOut]]:
    """Register all onto the first unit that more than half of them fit; the others are foreign.

    If there is none: onto the one that most of them fit.
    """
    best: tuple[Registrar, list[Pose]] | None = None
    most = 0
    for candidate in units:
        onto = Registrar(upright(_middle(candidate)))
        poses = [_pose(onto, _middle(unit)) for unit in units]
        fitting = sum(pose.fits(FITS) for pose in poses)
        if fitting > most:
            best, most = (onto, poses), fitting
        if 2 * fitting > len(units):
            break
    if best is None:
        return [], []
    onto, poses = best
    placed, foreign = [], []
    for unit, pose in zip(units, poses, strict=True):
        if pose.fits(FITS):
            placed.append(_placed(onto, unit, pose))
        else:
            foreign.append(_foreign(onto, unit, pose))
    return placed, foreign


def _middle(unit: ShownUnit) -> Sight:
    return unit.sights[len(unit.sights) // 2]


def _pose(onto: Registrar, sight: Sight) -> Pose:
    return onto.register(sight.image, upright_matrix(sight.outline))


def _placed(onto: Registrar, unit: ShownUnit, middle: Pose) -> _Placed:
    poses = []
    for sight in unit.sights:
        pose = middle if sight is _middle(unit) else _pose(onto, sight)
        if pose.fits(FITS):
            poses.append((sight, _matrix(pose.matrix)))
    return _Placed(unit, middle.likeness, tuple(poses))


def _foreign(onto: Registrar, unit: ShownUnit, pose: Pose) -> LeftOut:
    return LeftOut(
        number=unit.number,
        picture=upright(_middle(unit)),
        why=Why.ANOTHER_DESIGN,
        likeness=pose.likeness,
        places=(Rect(0, 0, onto.width_px, onto.height_px),),
    )


def _common(placed: Sequence[_Placed]) -> _Common:
    """The middle one of the units' own outlines, so that a unit lies on it as it lies upright."""
    every = [(sight.outline, matrix) for one in placed for sight, matrix in one.poses]
    width_px = max(1, round(float(np.median([outline.width_px for outline, _ in every]))))
    height_px = max(1, round(float(np.median([outline.height_px for outline, _ in every]))))
    seen = np.median([_corners(outline, matrix) for outline, matrix in every], axis=0)
    to_reference = np.identity(3)
    to_reference[:2] = _similarity(seen, _rectangle(width_px, height_px))
    without_tone = _Common(width_px, height_px, to_reference, np.zeros(0, np.float32))
    tones = [
        _tone(_warped(without_tone, sight, matrix)) for one in placed for sight, matrix in one.poses
    ]
    tone = np.median(np.stack(tones), axis=0).astype(np.float32)
    return _Common(width_px, height_px, to_reference, tone)


def _corners(outline: Outline, matrix: Matrix) -> NDArray[np.float64]:
    """Where the corners of a unit lie in the picture that all were registered onto."""
    there = frame_matrix(outline)
    found = []
    for x_px, y_px in _rectangle(outline.width_px, outline.height_px):
        x, y = moved(there, x_px, y_px)
        found.append((matrix @ (x, y, 1))[:2])
    return np.array(found)


def _rectangle(width_px: float, height_px: float) -> NDArray[np.float64]:
    return np.array([(0, 0), (width_px, 0), (width_px, height_px), (0, height_px)], np.float64)


def _similarity(points: NDArray[np.float64], onto: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shift, turn and scale that bring points closest to others: (2, 3), least squares.

    S. Umeyama, "Least-squares estimation of transformation parameters", 1991, in complex numbers.
    """
    a, b = points[:, 0] + 1j * points[:, 1], onto[:, 0] + 1j * onto[:, 1]
    centred = a - a.mean()
    turn = np.vdot(centred, b - b.mean()) / np.vdot(centred, centred)
    shift = b.mean() - turn * a.mean()
    return np.array([(turn.real, -turn.imag, shift.real), (turn.imag, turn.real, shift.imag)])


def _warped(common: _Common, sight: Sight, matrix: Matrix) -> Image:
    """The frame on the reference, in one step."""
    (a, b, c), (d, e, f) = (common.to_reference @ matrix)[:2].tolist()
    picture = cv2.warpAffine(
        sight.image,
        np.array(between_centres(((a, b, c), (d, e, f)))),
        (common.width_px, common.height_px),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(picture, np.uint8)


def _tone(picture: Image) -> NDArray[np.float32]:
    """The local brightness of a picture, per colour: a few pixels."""
    height_px, width_px = picture.shape[:2]
    share = min(1.0, _TONE_PIXELS / max(width_px, height_px))
    size = (max(1, round(width_px * share)), max(1, round(height_px * share)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), max(size) * TONE_SHARE), np.float32)


def _in_common_tone(common: _Common, sight: Sight, matrix: Matrix) -> NDArray[np.float32]:
    """A frame on the reference, as light as all of them: (height, width, 3)."""
    picture = _warped(common, sight, matrix)
    gain = np.clip(common.tone / np.maximum(_tone(picture), 1.0), *_GAIN)
    size = (common.width_px, common.height_px)
    return np.asarray(picture * cv2.resize(gain, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _unit_picture(common: _Common, placed: _Placed) -> Image:
    total = np.zeros((common.height_px, common.width_px, 3), np.float32)
    for sight, matrix in placed.poses:
        total += _in_common_tone(common, sight, matrix)
    return np.clip(np.round(total / len(placed.poses)), 0, 255).astype(np.uint8)


def _median(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pixel by pixel; some rows at a time, for memory's sake."""
    found = np.empty_like(pictures[0])
    for top in range(0, found.shape[0], _ROWS_AT_ONCE):
        rows = slice(top, top + _ROWS_AT_ONCE)
        found[rows] = np.median(np.stack([picture[rows] for picture in pictures]), axis=0)
    return found


def _those_that_differ(placed: Sequence[_Placed], pictures: Sequence[Image]) -> dict[int, LeftOut]:
    """The indices of units that show something where the others agree."""
    greys = [
        np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8) for picture in pictures
    ]
    masks = _differences(greys)
    natural = _natural(masks, greys) | _rim(masks[0].shape)
    found = {}
    for index, mask in enumerate(masks):
        places = _places(mask, natural)
        if places:
            found[index] = LeftOut(
                number=placed[index].unit.number,
                picture=pictures[index],
                why=Why.DIFFERS,
                likeness=placed[index].likeness,
                places=places,
            )
    return found


def _differences(greys: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Per unit 1 where it is lighter or darker than most are within a pixel around."""
    kernel = np.ones((3, 3), np.uint8)
    darkest = _median([np.asarray(cv2.erode(grey, kernel), np.uint8) for grey in greys])
    lightest = _median([np.asarray(cv2.dilate(grey, kernel), np.uint8) for grey in greys])
    least = _least_levels(_median(greys))
    masks = []
    for grey in greys:
        beyond = cv2.max(cv2.subtract(grey, lightest), cv2.subtract(darkest, grey))
        mask = np.asarray(beyond >= least, np.uint8)
        # What is one pixel wide is an edge etched a little differently.
        masks.append(np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel[:2, :2]), np.uint8))
    return masks


def _natural(
    masks: Sequence[NDArray[np.uint8]], greys: Sequence[NDArray[np.uint8]]
) -> NDArray[np.bool_]:
    """Where so many units differ nearby that units do differ there: labels, stamps, shine."""
    reach = round(max(masks[0].shape) * SURROUNDINGS_SHARE)
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    votes = np.zeros(masks[0].shape, np.uint16)
    for mask in masks:
        votes += np.asarray(cv2.dilate(mask, around), np.uint16)
    natural = np.asarray(votes >= max(2, math.ceil(MINORITY * len(masks))), np.uint8)
    # A label that was stuck a little aside on two of six differs there on these two only.
    levels = np.where(natural, _spread(greys), 0).astype(np.uint8)
    for (rows, columns), inside, _ in _marks(levels, _median(greys)):
        paper_px = max(reach, round(PAPER_SHARE * max(inside.shape)))
        top, left = (max(0, side.start - paper_px) for side in (rows, columns))
        natural[top : rows.stop + paper_px, left : columns.stop + paper_px] = 1
    return natural > 0


def _spread(greys: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Standard deviation of the units, in grey levels."""
    total = np.zeros(greys[0].shape, np.float32)
    squares = np.zeros(greys[0].shape, np.float32)
    for grey in greys:
        cv2.accumulate(grey, total)
        cv2.accumulateSquare(grey, squares)
    count = len(greys)
    variance = np.maximum(squares / count - (total / count) ** 2, 0)
    return np.sqrt(variance).astype(np.uint8)


def _rim(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    reach = math.ceil(max(shape) * RIM_SHARE)
    rim = np.ones(shape, np.bool_)
    rim[reach:-reach, reach:-reach] = False
    return rim


def _places(mask: NDArray[np.uint8], natural: NDArray[np.bool_]) -> tuple[Rect, ...]:
    """The places that differ and are not natural, the largest first."""
    damage = mask.copy()
    damage[natural] = 0
    near = np.ones((_SMALL_BOX_PX, _SMALL_BOX_PX), np.uint8)
    joined = cv2.morphologyEx(damage, cv2.MORPH_CLOSE, near)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    pixels = np.bincount(labels[damage > 0], minlength=count)
    found = [
        (int(pixels[label]), Rect(*(int(side) for side in boxes[label][:4])))
        for label in range(1, count)
        if pixels[label] >= SMALLEST_PX
    ]
    return tuple(rect for _, rect in sorted(found, key=lambda one: -one[0]))


def _deviation(common: _Common, placed: Sequence[_Placed], mean: Image) -> NDArray[np.uint8]:
    """The distance of frames from the mean: root mean square, rounded up."""
    grey = cv2.cvtColor(mean, cv2.COLOR_BGR2GRAY)
    total, frames = np.zeros(grey.shape, np.float32), 0
    for frame in _greys(common, placed):
        total += (frame - grey) ** 2
        frames += 1
    units = len(placed)
    spread = np.sqrt(total / frames * (units / (units - 1)))
    levels = np.clip(np.ceil(spread), 0, 255).astype(np.uint8)
    return _over_whole_marks(levels, np.asarray(grey, np.uint8))


def _over_whole_marks(levels: NDArray[np.uint8], grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A mark that differs in a part may differ everywhere: serials in a row share most cells."""
    found = levels.copy()
    for box, inside, usual in _marks(levels, grey):
        found[box][inside] = np.maximum(found[box][inside], np.uint8(usual))
    return found


def _marks(
    levels: NDArray[np.uint8], grey: NDArray[np.uint8]
) -> Iterator[tuple[tuple[slice, slice], NDArray[np.bool_], float]]:
    """The marks that differ: their boxes, which pixels of these are theirs, by how many levels.

    `levels` says by how much units differ where. A mark is what stands by itself, in edges as
    sharp as its differences, and is no larger than a label.
    """
    kernel = np.ones((3, 3), np.uint8)
    differs = np.asarray(levels >= _least_levels(grey), np.uint8)
    # Narrow differences are edges etched a little differently.
    strong = cv2.morphologyEx(differs, cv2.MORPH_OPEN, kernel) > 0
    strong[_rim(grey.shape)] = False
    if not strong.any():
        return
    sharp = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, kernel) >= np.percentile(levels[strong], 75)
    sharp[_rim(grey.shape)] = False
    gap = max(3, round(max(grey.shape) * GAP_SHARE))
    marks = cv2.morphologyEx(sharp.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(marks, connectivity=8)
    differing = np.bincount(labels[strong], minlength=count)
    for label in range(1, count):
        x, y, width, height, area = (int(side) for side in boxes[label])
        is_large = max(width, height) > LABEL_SHARE * max(grey.shape)
        if is_large or differing[label] < DIFFERING_SHARE * area:
            continue
        box = (slice(y, y + height), slice(x, x + width))
        mark = labels[box] == label
        yield box, _hull(mark), float(np.percentile(levels[box][strong[box] & mark], 75))


def _hull(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    points = cv2.convexHull(cv2.findNonZero(mask.astype(np.uint8)))
    return np.asarray(cv2.fillConvexPoly(np.zeros(mask.shape, np.uint8), points, 1) > 0)


def _least_levels(grey: NDArray[np.uint8]) -> float:
    """From how many grey levels on a difference is one."""
    low, high = np.percentile(grey, (1, 99))
    return max(LEAST_LEVELS, DIFFERS_SHARE * float(high - low))


def _greys(common: _Common, placed: Sequence[_Placed]) -> Iterator[NDArray[np.float32]]:
    for one in placed:
        for sight, matrix in one.poses:
            picture = _in_common_tone(common, sight, matrix)
            yield np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.float32)


def _matrix(affine: tuple[tuple[float, ...], ...]) -> Matrix:
    return np.array((*affine, (0.0, 0.0, 1.0)), np.float64)
