"""Shows a unit beside its reference, without what differs from unit to unit anyway."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.geometry import Affine
from inspector.core.newest import Newest
from inspector.core.recipes import Reference
from inspector.core.records import (
    DIFFERING_CELL_PX,
    PADDING_GREY,
    Image,
    Letterbox,
    ModelInput,
    Rect,
)
from inspector.core.warping import grey_onto, into_letterbox, warp

Grey = NDArray[np.uint8]
"""(height, width) uint8."""

NATURAL_FROM_LEVELS = 25
"""A smaller deviation changes nothing in what the model sees: noise, light, and variation of etched
edges. 99 % of the places of taught boards deviate by less than 20."""
NATURAL_TIMES = 3.0
"""A difference up to this many times the excess deviation is natural; labels and stamps deviate by
90 to 110 grey levels, so that nothing on a label counts as a difference."""
_TONE_CELLS = 20
"""Cells along each side of a model's input, for the unit's local brightness relative to its
reference."""
_TONE_SMOOTHING = 1.5
_DARKEST = 0.5
"""Grey levels."""
_DIFFERS_SHARE = 0.2
"""Of the reference's contrast. Damage is copper where there was none, or the reverse: some 0.8 of
it. Edges that are etched a little differently, or lie half a pixel aside: 0.15."""
_DIFFERS_LEVELS = 8.0
"""At least: below that is noise."""
_SPECK_PX = 3
_STRETCHED_FROM, _STRETCHED_LEVELS = 50, 150
"""The darkest grey level of a reference's close-up, and the difference to the lightest."""
_LEAST_CONTRAST = 20.0
"""Grey levels: what varies less is plain, and its noise would be stretched."""
_PLANES_KEPT = 32
"""Each is as large as a model's input; a large unit has one per tile."""


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """The part of a reference beside a unit, prepared for one place in one model's input."""

    wanted: Grey
    """The reference, letterboxed."""
    outside: Grey
    """255 where neither the unit nor its reference is shown."""
    padding: Grey
    """What is shown there."""
    natural: Grey | None
    """By how many grey levels a unit may differ; None where that is nowhere more than noise."""
    certain: Grey
    """255 where it may not."""
    contrast: float
    """By how many grey levels what is light in the reference is lighter than what is dark."""

    @property
    def differs_from(self) -> float:
        """Grey levels that are a difference, and not noise or an edge."""
        return _DIFFERS_SHARE * self.contrast


class _Place(NamedTuple):
    reference: str
    rect: Rect
    letterbox: Letterbox
    size_px: tuple[int, int]


class ReferencePlanes:
    """Prepares references, and remembers those prepared last. One thread at a time."""

    def __init__(self) -> None:
        self._known: Newest[_Place, Planes] = Newest(_PLANES_KEPT)
        self._levels: Newest[str, Grey] = Newest(_PLANES_KEPT)

    def of(
        self, reference: Reference, rect: Rect, letterbox: Letterbox, model_input: ModelInput
    ) -> Planes:
        """What is shown beside that part of a unit."""
        return self.sized(reference, rect, letterbox, (model_input.width_px, model_input.height_px))

    def sized(
        self, reference: Reference, rect: Rect, letterbox: Letterbox, size_px: tuple[int, int]
    ) -> Planes:
        """The same, where no model's input says how large the picture is: width, height."""
        place = _Place(reference.sha256, rect, letterbox, size_px)
        return self._known.used(place, lambda: self._prepared(reference, place))

    def levels_of(self, reference: Reference) -> Grey:
        """What each grey level of a close-up is shown as: (256,)."""
        return self._levels.used(
            reference.sha256,
            lambda: _stretched(cv2.cvtColor(reference.mean, cv2.COLOR_BGR2GRAY)),
        )

    def _prepared(self, reference: Reference, place: _Place) -> Planes:
        grey = np.asarray(cv2.cvtColor(reference.mean, cv2.COLOR_BGR2GRAY), np.uint8)
        outside = _letterboxed(np.zeros_like(grey), place, around=255)
        outside[outside > 0] = 255
        # The largest deviation that a pixel of the model's input covers, not their mean.
        reach = math.ceil(1 / min(place.letterbox.scale, place.letterbox.scale_down))
        largest = cv2.dilate(reference.deviation, np.ones((reach, reach), np.uint8))
        deviation = _letterboxed(np.asarray(largest, np.uint8), place, around=0)
        exceeds = np.maximum(deviation, NATURAL_FROM_LEVELS) - np.uint8(NATURAL_FROM_LEVELS)
        natural = np.asarray(cv2.convertScaleAbs(exceeds, alpha=NATURAL_TIMES), np.uint8)
        wanted = _letterboxed(grey, place, around=PADDING_GREY)
        wanted[outside > 0] = PADDING_GREY
        inside = wanted[outside == 0]
        dark, light = np.percentile(inside, (5, 95)) if inside.size else (0.0, 0.0)
        return Planes(
            wanted=wanted,
            outside=outside,
            padding=np.full_like(outside, PADDING_GREY),
            natural=natural if natural.any() else None,
            certain=np.where(natural, np.uint8(0), np.uint8(255)),
            contrast=max(_DIFFERS_LEVELS / _DIFFERS_SHARE, float(light - dark)),
        )


def _stretched(reference: Any) -> Grey:
    """Each grey level, where what is dark and what is light in the reference lie further apart.

    They are never brought nearer together.
    """
    dark, light = np.percentile(reference, (5, 95))
    gain = max(1.0, _STRETCHED_LEVELS / max(float(light - dark), _LEAST_CONTRAST))
    levels = np.arange(256, dtype=np.float32)
    if gain > 1:
        levels = (levels - float(dark)) * gain + _STRETCHED_FROM
    return np.clip(np.round(levels), 0, 255).astype(np.uint8)


def _letterboxed(plane: Grey, place: _Place, *, around: int) -> Grey:
    width_px, height_px = place.size_px
    canvas = np.empty((height_px, width_px), np.uint8)
    matrix = into_letterbox(place.rect, place.letterbox)
    warp(plane, matrix, canvas, scale=place.letterbox.least_shrunk, around=around)
    return canvas


def shown_beside(image: Image, matrix: Affine, planes: Planes, unit: Grey, *, scale: float) -> None:
    """Fill `unit` with the unit's grey as it lies beside the planes; `matrix` leads there.

    In one step from the frame. What lies beside the unit is grey as beside the reference: there is
    nothing to compare. What differs from unit to unit anyway is made smaller.
    """
    grey_onto(image, matrix, unit, scale=scale)
    cv2.copyTo(planes.padding, planes.outside, unit)
    without_natural(unit, planes)


def without_natural(unit: Grey, planes: Planes) -> None:
    """Where good units differ, bring the unit as near to its reference as they do; in place.

    By a soft threshold: what differs by more than is natural keeps what it differs more. The
    reference is first made as light as the unit is around there: else the place where labels differ
    would be a patch of another brightness in a unit that is darker than its reference.
    """
    if planes.natural is None:
        return
    wanted = _in_tone_of(unit, planes)
    above = cv2.subtract(cv2.subtract(unit, wanted), planes.natural)
    below = cv2.subtract(cv2.subtract(wanted, unit), planes.natural)
    shrunk = cv2.subtract(cv2.add(wanted, above), below)
    cv2.copyTo(shrunk, planes.natural, unit)


def differing(unit: Grey, planes: Planes) -> NDArray[np.bool_]:
    """Where a unit differs from its reference at all: a cell for DIFFERING_CELL_PX pixels each way.

    A network that compares two pictures was made of examples, and knows some shapes better than
    that it is to compare: of 144 places of 24 drawn designs that look like defects it claimed 18
    although both pictures were the same, byte by byte.
    """
    difference = cv2.absdiff(unit, _in_tone_of(unit, planes))
    smooth = cv2.blur(difference, (_SPECK_PX, _SPECK_PX))
    whole = np.pad(smooth, [(0, -side % DIFFERING_CELL_PX) for side in smooth.shape])
    rows, columns = (side // DIFFERING_CELL_PX for side in whole.shape)
    cells = whole.reshape(rows, DIFFERING_CELL_PX, columns, DIFFERING_CELL_PX).max(axis=(1, 3))
    return np.asarray(cells >= planes.differs_from)


def _in_tone_of(unit: Grey, planes: Planes) -> Grey:
    """The reference, as light as the unit is around there."""
    gain = gain_of(unit, planes)
    return np.asarray(cv2.multiply(planes.wanted, gain, dtype=cv2.CV_8U), np.uint8)


def gain_of(unit: Grey, planes: Planes) -> NDArray[np.float32]:
    """How many times as light as the reference a unit is, around each pixel."""
    own = _tone(cv2.bitwise_and(planes.wanted, planes.certain))
    gain = _tone(cv2.bitwise_and(unit, planes.certain)) / own
    wide = cv2.resize(gain, unit.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(wide, np.float32)


def _tone(plane: Any) -> NDArray[np.float32]:
    cells = cv2.resize(plane, (_TONE_CELLS, _TONE_CELLS), interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(cells.astype(np.float32), (0, 0), _TONE_SMOOTHING)
    # Where nothing is certain far and wide the reference keeps its own tone.
    return np.asarray(smooth + np.float32(_DARKEST), np.float32)
