"""Whether a picture can show a defect, and whether it looks as pictures of this product do: pure.

A picture that is too blurred or overexposed is refused whatever it shows. All others are compared
with usual pictures: with those that the product was taught with, or with the first good ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from inspector.capture.mark import Mark, MarkFinder
from inspector.core.faults import PICTURE_REFUSED, PICTURES_CHANGE
from inspector.core.geometry import outline_box_px
from inspector.core.newest import Newest
from inspector.core.optics import (
    LEAST_CONTRAST,
    SPREADS,
    Measure,
    Optics,
    OpticsBaseline,
    baseline_of,
    shows_something,
    tint,
)
from inspector.core.records import FrameRef, Image, MissReason, Rect

Region = tuple[int, int, int, int]

_BANDS = 12
_BAND_ROWS = 8
_COLUMNS = 3
"""The size of a mean, in rows and columns: noise falls to a fifth, and blur stays."""
_APART = 2
"""Means that are compared: twice the slope over the same noise."""
_WIDEST_PX = 1024
"""More of a band says nothing new, and costs time."""
_REACH = 10
"""Means; an edge that is blurred by a sigma of 6 pixels rises within them."""
_SHARPEST = 25
"""Per cent of the bands: a board's are not all of the same kind, and one sharp edge in a quarter of
them proves the focus."""
_CLIPPED_FROM = 252
_DARKEST_TO = 80
"""An overexposed picture has no darker parts left. A scan in black and white and a part before a
lamp are white in large parts, and have it."""
_MARGIN_PX = 8
"""Around a unit: its own border is an edge, on a blank one the only."""
_GAUSS = 2.507
"""A step of 1 that is blurred by a sigma of s rises by 1 / (2.507 s) per pixel at its steepest."""
_NOISE_ROWS = 12
_NOISE_KERNEL = np.array([[-1, 2, -1]], np.float32)
_NOISE_SHARE = 0.3
"""The share of pixels that are away from edges even where conductors are dense."""
_NOISE_BEND = 0.943
"""What the smallest 30 % of the bends of noise reach, over its standard deviation: 0.385 times the
root of 6."""
_NOTICED_AFTER = 2
"""How many frames in a row are refused before a fault: a single one may be a hand or a flash."""
_CALM_AFTER = 8
"""How many pictures without a warning end one, so that a value near the limit is reported once."""
LEARNED_FROM = 24
"""Pictures: eight units, where three are taken of each."""
SETTLED_AFTER = 240
"""Pictures that follow: ten times as many, 80 units of three. The first 24 of a camera whose every
frame is a unit are one second of the belt."""
SMOOTHED_OVER = 20
_DARKEST = 0.4
"""Share of the light that the networks can miss, however much it differed in the lesson."""
_BESIDE_DRIFT = 0.6
"""Of the light that may be missing, what may be missing beside a drift: boards that differ by 5 per
cent among themselves add nothing to it."""
_NOISES = 2
"""So many times its noise a picture of nothing rises at most: 1.4 times in 12 bands of 1280 pixels
of noise between 1.4 and 17 grey levels."""
_LOUDEST = 12.0
"""Grey levels that no camera's noise makes of a picture of nothing: what rises as high is
structure, however fine its grain is."""
_PRODUCTS_KEPT = 64
NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OpticsLimits:
    """The limits from which a picture is refused or warned of; 0: never."""

    blur_px: float
    clipped: float
    blurrier_px: float = 0.0
    blurrier_compared_px: float = 0.0
    least_contrast: int = 0
    contrast: float = 0.0
    darker: float = 0.0
    brighter: float = 0.0
    tint: float = 0.0
    noise: float = 0.0
    moved_px: float = 0.0
    warn_share: float = 0.5
    mark: Region | None = None
    """What never moves in the picture."""

    @property
    def ask(self) -> bool:
        """Whether pictures are measured at all."""
        return any(
            limit > 0
            for limit in (
                self.blur_px,
                self.clipped,
                self.least_contrast,
                self.contrast,
                self.darker,
                self.brighter,
                self.tint,
                self.noise,
                self.moved_px,
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """How far a measure is from its usual value."""

    used: float
    """Its change as a share of what is allowed: 1 is the limit."""
    words: str
    """For people."""
    warns: bool = False
    reason: MissReason | None = None
    """Why such a picture is refused; None where it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a picture is not shown to the model."""

    reason: MissReason
    detail: str


def measure(image: Image, area: Rect) -> Optics:
    """Measure bands of that part of a picture: 0.14 ms of a board, 0.2 ms of all of 1280x720."""
    bands = _bands(image, area)
    # Grey first: means of one channel cost a third of those of three, and differ by rounding only.
    whole = np.asarray(cv2.cvtColor(bands, cv2.COLOR_BGR2GRAY), np.uint8)
    grey = _means(whole)
    _, burnt = cv2.threshold(bands.reshape(len(bands), -1), _CLIPPED_FROM - 1, 1, cv2.THRESH_BINARY)
    levels = np.cumsum(np.bincount(grey.ravel(), minlength=256))
    rise, noise = _rise(grey), _noise(whole)
    contrast = int(rise.max())
    # Asked only where it decides: of a picture with edges it says nothing more.
    is_plain = contrast < max(LEAST_CONTRAST, _NOISES * noise)
    blue, green, red, _ = cv2.mean(bands)
    return Optics(
        blur_px=_blur_px(grey, rise),
        clipped=cv2.countNonZero(burnt) / bands.size,
        darkest=int(np.searchsorted(levels, grey.size / 100)),
        bright=int(np.searchsorted(levels, grey.size * 9 / 10)),
        contrast=contrast,
        colour=(blue, green, red),
        noise=noise,
        structure=max(contrast, _grain(whole)) if is_plain else contrast,
    )


def refusal(optics: Optics, limits: OpticsLimits) -> Refusal | None:
    """Why a picture cannot be inspected; None where it can."""
    if 0 < limits.clipped <= optics.clipped and optics.darkest >= _DARKEST_TO:
        detail = f"{PICTURE_REFUSED}too bright: {optics.clipped:.0%} of it is burnt out"
        return Refusal(reason=MissReason.CAMERA_BRIGHT, detail=detail)
    if optics.blur_px is not None and 0 < limits.blur_px <= optics.blur_px:
        detail = f"{PICTURE_REFUSED}blurred: its edges by a sigma of {optics.blur_px:.1f} pixels"
        return Refusal(reason=MissReason.CAMERA_BLURRED, detail=detail)
    least = max(limits.least_contrast, min(_NOISES * optics.noise, _LOUDEST))
    if limits.least_contrast > 0 and optics.structure < least:
        levels = f"{optics.structure} grey levels"
        detail = f"{PICTURE_REFUSED}blank: nothing in it rises by more than {levels}"
        return Refusal(reason=MissReason.CAMERA_BLANK, detail=detail)
    return None


def area_of(ref: FrameRef, image: Image, region: Region | None) -> Rect | None:
    """The part of a frame that its unit is in; None where nothing of it is in the frame."""
    height_px, width_px = image.shape[:2]
    left, top, right, bottom = 0.0, 0.0, float(width_px), float(height_px)
    if ref.outline is not None:
        box = outline_box_px(ref.outline)
        left, top = max(left, box[0] - _MARGIN_PX), max(top, box[1] - _MARGIN_PX)
        right, bottom = min(right, box[2] + _MARGIN_PX), min(bottom, box[3] + _MARGIN_PX)
    elif region is not None:
        left, top = float(region[0]), float(region[1])
        right, bottom = left + region[2], top + region[3]
    width, height = int(right) - int(left), int(bottom) - int(top)
    if width < 1 or height < _BAND_ROWS:
        return None
    return Rect(int(left), int(top), width, height)


def departures(
    optics: Optics, usual: OpticsBaseline, limits: OpticsLimits, *, compared: bool = False
) -> dict[Measure, Departure]:
    """How far a picture is from usual ones, by measure, without those switched off.

    `compared`: a network sees it beside its reference, which bears more blur than one that sees it
    alone. What nobody vouched for refuses none of it: the line may make another product.
    """
    found = {
        Measure.FOCUS: _focus(optics, usual, limits, compared=compared),
        Measure.LIGHT: _light(optics, usual, limits),
        Measure.COLOUR: _colour(optics, usual, limits),
        Measure.NOISE: _noisiness(optics, usual, limits),
    }
    return {measure: one for measure, one in found.items() if one is not None}


def _focus(
    optics: Optics, usual: OpticsBaseline, limits: OpticsLimits, *, compared: bool
) -> Departure | None:
    if optics.blur_px is None or usual.blur_px is None or limits.blur_px <= usual.blur_px:
        return None
    limit_px = limits.blur_px
    more_px = limits.blurrier_compared_px if compared else limits.blurrier_px
    is_strict = usual.vouched and more_px > 0
    if is_strict:
        limit_px = min(limit_px, usual.blur_px + more_px)
    used = max(0.0, optics.blur_px - usual.blur_px) / (limit_px - usual.blur_px)
    words = (
        f"its edges are blurred by a sigma of {optics.blur_px:.1f} pixels, usually"
        f" {usual.blur_px:.1f}"
    )
    refuses = is_strict and used >= 1
    reason = MissReason.CAMERA_BLURRED if refuses else None
    return Departure(used=used, words=words, warns=used >= limits.warn_share, reason=reason)


def _light(optics: Optics, usual: OpticsBaseline, limits: OpticsLimits) -> Departure | None:
    change = optics.bright / usual.bright - 1
    limit = _darker(usual, limits) if change < 0 else limits.brighter
    if limit <= 0:
        return None
    used = max(0.0, abs(change) - SPREADS * usual.bright_spread) / limit
    words = f"it has {abs(change):.0%} {'less' if change < 0 else 'more'} light than usual"
    reason = MissReason.CAMERA_DARK if change < 0 else MissReason.CAMERA_BRIGHT
    refuses = usual.vouched and abs(change) >= limit
    return Departure(
        used=used,
        words=words,
        warns=used >= limits.warn_share,
        reason=reason if refuses else None,
    )


def _darker(usual: OpticsBaseline, limits: OpticsLimits) -> float:
    """Which share of the light may be missing: more where it drifted in the lesson, as it does.

    But no more than a network bears, which is none the wiser for a drift. Where nobody vouched for
    what is usual, that is what warnings go by.
    """
    if limits.darker <= 0:
        return 0.0
    if not usual.vouched:
        return max(limits.darker, _DARKEST)
    drifting = _BESIDE_DRIFT * limits.darker + SPREADS * usual.bright_spread
    return max(limits.darker, min(drifting, _DARKEST))


def _colour(optics: Optics, usual: OpticsBaseline, limits: OpticsLimits) -> Departure | None:
    if limits.tint <= 0 or not usual.vouched:
        return None
    found = tint(optics.colour, usual.colour)
    used, words = found / limits.tint, f"its colour is {found:.0%} off"
    return Departure(used=used, words=words, warns=used >= 1)


def _noisiness(optics: Optics, usual: OpticsBaseline, limits: OpticsLimits) -> Departure | None:
    if limits.noise <= 0:
        return None
    used = max(0.0, optics.noise - usual.noise) / limits.noise
    words = f"its noise is {optics.noise:.1f} grey levels, usually {usual.noise:.1f}"
    return Departure(used=used, words=words, warns=used >= 1)


def blank(optics: Optics, usual: OpticsBaseline, limits: OpticsLimits) -> Refusal | None:
    """Why a picture shows nothing: no edge in it is nearly as high as in others."""
    least = limits.contrast * usual.contrast
    if optics.contrast >= least:
        return None
    if optics.bright < usual.bright * (1 - limits.darker) and limits.darker > 0:
        detail = f"{PICTURE_REFUSED}too dark: {1 - optics.bright / usual.bright:.0%} less light"
        return Refusal(reason=MissReason.CAMERA_DARK, detail=f"{detail} than usual")
    detail = (
        f"{PICTURE_REFUSED}blank: its edges are {optics.contrast} grey levels high, usually"
        f" {usual.contrast} and more"
    )
    return Refusal(reason=MissReason.CAMERA_BLANK, detail=detail)


def _moved(shift_px: float | None, limits: OpticsLimits) -> Departure:
    if shift_px is None:
        words = "its fixed mark is not seen"
        return Departure(used=1.0, words=words, warns=True, reason=MissReason.CAMERA_MOVED)
    used = shift_px / limits.moved_px
    return Departure(
        used=used,
        words=f"its fixed mark lies {shift_px:.1f} pixels from its place",
        warns=used >= limits.warn_share,
        reason=MissReason.CAMERA_MOVED if used >= 1 else None,
    )


_REFUSED_AS = {
    MissReason.CAMERA_BLURRED: "blurred",
    MissReason.CAMERA_DARK: "too dark",
    MissReason.CAMERA_BRIGHT: "too bright",
    MissReason.CAMERA_MOVED: "moved",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpticsMemory:
    """What a camera's guard has learned; kept across restarts."""

    usual: Mapping[str, OpticsBaseline] = field(default_factory=dict)
    """By product, for those that were not taught."""
    mark: Mark | None = None
    renewed_unix_s: float | None = None
    """When a person accepted the pictures as they are: older usual values no longer apply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpticsState:
    """The optical state of a camera's pictures, for people."""

    product: str
    usual: OpticsBaseline | None
    """None while it is being learned."""
    used: Mapping[Measure, float]
    """Smoothed over some `SMOOTHED_OVER` pictures."""
    latest: Optics


class OpticsGuard:
    """One camera's; one thread at a time asks. Any thread reads what it found."""

    def __init__(
        self,
        limits: OpticsLimits,
        *,
        camera: str = "",
        region: Region | None = None,
        memory: OpticsMemory | None = None,
    ) -> None:
        """`region`: what is judged where a unit's place is not known."""
        self._limits = limits
        self._camera = camera
        self._region = region
        self._learning: Newest[str, list[Optics]] = Newest(_PRODUCTS_KEPT)
        self._followed: dict[str, int] = {}
        """Pictures since what is usual was learned, by product, while nobody vouched for it."""
        self._last: deque[bool] = deque(maxlen=_NOTICED_AFTER)
        self._warned: deque[bool] = deque(maxlen=_CALM_AFTER)
        self._is_to_renew = False
        self.memory = memory or OpticsMemory()
        """Replaced whenever something was learned."""
        self.state: OpticsState | None = None
        """After the latest picture; None before the first."""
        self.cause = ""
        """Why pictures are refused, or warned of; empty while they are good."""
        self._mark: MarkFinder | None = None
        self._find_mark(limits.mark)

    def change(self, limits: OpticsLimits) -> None:
        """Other limits from the next picture on. No picture is judged meanwhile."""
        self._limits = limits
        self._find_mark(limits.mark)
        if not limits.ask:
            self._last.clear()
            self._warned.clear()
            self.cause = ""

    def _find_mark(self, mark: Region | None) -> None:
        rect = None if mark is None else Rect(*mark)
        if self._mark is not None and self._mark.rect == rect:
            return
        self._mark = None if rect is None else MarkFinder(rect)
        known = self.memory.mark
        if known is not None and known.rect != rect:
            self.memory = replace(self.memory, mark=None)

    def renew(self) -> None:
        """A person accepts the pictures as they are: learn again what is usual. Any thread."""
        self._is_to_renew = True

    def judge(self, ref: FrameRef, image: Image) -> Refusal | None:
        """Why this frame, chosen for inspection, must not be inspected; None: it may."""
        return self.see(ref, image)[1]

    def see(self, ref: FrameRef, image: Image) -> tuple[Optics | None, Refusal | None]:
        """The measures of a frame chosen for inspection, and why it must not be inspected."""
        limits = self._limits
        area = area_of(ref, image, self._region) if limits.ask else None
        if area is None:
            return None, None
        if self._is_to_renew:
            self._is_to_renew = False
            self._forget(ref.captured_unix_ns / NS_PER_S)
        optics = measure(image, area)
        refused, warnings = refusal(optics, limits), list[str]()
        product, usual = self._usual_for(ref)
        found: dict[Measure, Departure] = {}
        if usual is not None:
            unlike = blank(optics, usual, limits)
            if unlike is None or usual.refuses:
                refused = refused or unlike
            elif unlike.reason is MissReason.CAMERA_BLANK:
                # Of light that is missing, its own measure warns.
                warnings.append(unlike.detail.removeprefix(PICTURE_REFUSED))
            found = departures(optics, usual, limits, compared=_is_compared(ref))
        if (place := self._placed(image)) is not None:
            found[Measure.PLACE] = place
        refused = refused or _refused_for(found)
        if refused is None and usual is None:
            self._learn(product, optics, ref)
        elif refused is None and usual is not None and not usual.refuses:
            self._settle(product, optics, usual)
        warnings += [one.words for one in found.values() if one.warns]
        self._note(refused, warnings)
        self.state = _smoothed(self.state, product, usual, found, optics)
        return optics, refused

    def _usual_for(self, ref: FrameRef) -> tuple[str, OpticsBaseline | None]:
        """What pictures of its product look like: as it was taught, unless that is out of date."""
        recipe = None if ref.unit is None or ref.unit.job is None else ref.unit.job.recipe
        if recipe is None:
            return "", self.memory.usual.get("")
        taught = None if recipe.reference is None else recipe.reference.optics
        if (
            taught is not None
            and taught.camera == self._camera
            and taught.since_unix_s >= (self.memory.renewed_unix_s or 0.0)
        ):
            return recipe.product, taught
        return recipe.product, self.memory.usual.get(recipe.product)

    def _learn(self, product: str, optics: Optics, ref: FrameRef) -> None:
        if not shows_something(optics):
            return
        pictures = self._learning.used(product, list)
        pictures.append(optics)
        if len(pictures) < LEARNED_FROM:
            return
        del self._learning[product]
        usual = baseline_of(
            pictures,
            camera=self._camera,
            since_unix_s=ref.captured_unix_ns / NS_PER_S,
            vouched=self.memory.renewed_unix_s is not None,
        )
        if usual is not None:
            self._remember(product, usual)

    def _settle(self, product: str, optics: Optics, usual: OpticsBaseline) -> None:
        """Count pictures in a row that are like those it was learned from."""
        is_like = blank(optics, usual, self._limits) is None
        followed = self._followed.get(product, 0) + 1 if is_like else 0
        if followed >= SETTLED_AFTER:
            self._remember(product, replace(usual, settled=True))
        self._followed[product] = followed

    def _remember(self, product: str, usual: OpticsBaseline) -> None:
        kept = [item for item in self.memory.usual.items() if item[0] != product]
        known = dict([*kept, (product, usual)][-_PRODUCTS_KEPT:])
        self.memory = replace(self.memory, usual=known)
        self._followed = {one: self._followed.get(one, 0) for one in known}

    def _forget(self, now_unix_s: float) -> None:
        self._learning.clear()
        self._followed.clear()
        self._last.clear()
        self._warned.clear()
        self.cause = ""
        self.memory = OpticsMemory(renewed_unix_s=now_unix_s)
        if self._mark is not None:
            self._mark.forget()

    def _placed(self, image: Image) -> Departure | None:
        if self._mark is None or self._limits.moved_px <= 0:
            return None
        known = self.memory.mark
        if known is None:
            learned = self._mark.learn(image)
            if learned is not None:
                self.memory = replace(self.memory, mark=learned)
            return None
        return _moved(self._mark.shift_px(image, known), self._limits)

    def _note(self, refused: Refusal | None, warnings: Sequence[str]) -> None:
        self._last.append(refused is not None)
        self._warned.append(bool(warnings) and refused is None)
        if len(self._last) == _NOTICED_AFTER and refused is not None and all(self._last):
            self.cause = refused.detail
        elif any(self._last):
            return
        elif warnings and all(list(self._warned)[-_NOTICED_AFTER:]) and len(self._warned) > 1:
            self.cause = f"{PICTURES_CHANGE}{'; '.join(warnings)}"
        elif self.cause.startswith(PICTURE_REFUSED) or not any(self._warned):
            self.cause = ""


def _is_compared(ref: FrameRef) -> bool:
    job = None if ref.unit is None else ref.unit.job
    return (
        job is not None and job.recipe.judge == "reference" and job.recipe.compared_with is not None
    )


def _refused_for(found: Mapping[Measure, Departure]) -> Refusal | None:
    for one in found.values():
        if one.reason is not None:
            detail = f"{PICTURE_REFUSED}{_REFUSED_AS[one.reason]}: {one.words}"
            return Refusal(reason=one.reason, detail=detail)
    return None


def _smoothed(
    before: OpticsState | None,
    product: str,
    usual: OpticsBaseline | None,
    found: Mapping[Measure, Departure],
    optics: Optics,
) -> OpticsState:
    known = before.used if before is not None and before.product == product else {}
    used = {
        measure: one.used + (known.get(measure, one.used) - one.used) * (1 - 1 / SMOOTHED_OVER)
        for measure, one in found.items()
    }
    return OpticsState(product=product, usual=usual, used=used, latest=optics)


def _bands(image: Image, area: Rect) -> Image:
    width_px = min(area.width_px, _WIDEST_PX)
    left = area.x_px + (area.width_px - width_px) // 2
    way_px = area.height_px - _BAND_ROWS
    tops = [area.y_px + way_px * band // (_BANDS - 1) for band in range(_BANDS)]
    return np.concatenate([image[t : t + _BAND_ROWS, left : left + width_px] for t in tops])


def _means(grey: Image) -> Image:
    """Of `_BAND_ROWS` by `_COLUMNS` pixels each. A third of what OpenCV's own costs."""
    wide = min(_COLUMNS, grey.shape[1])
    used = grey.shape[1] // wide * wide
    sums = grey.reshape(len(grey) // _BAND_ROWS, _BAND_ROWS, -1).sum(axis=1, dtype=np.uint16)
    boxes = sums[:, 0:used:wide].copy()
    for column in range(1, wide):
        boxes += sums[:, column:used:wide]
    return np.asarray((boxes + _BAND_ROWS * wide // 2) // (_BAND_ROWS * wide), np.uint8)


def _rise(grey: Image) -> Image:
    window = np.ones((1, _REACH), np.uint8)
    rises = cv2.subtract(cv2.dilate(grey, window), cv2.erode(grey, window))
    return np.asarray(rises.max(axis=1), np.uint8)


def _blur_px(grey: Image, rise: Image) -> float | None:
    says = rise >= LEAST_CONTRAST
    if grey.shape[1] <= _REACH or not says.any():
        return None
    steepest = cv2.absdiff(grey[:, _APART:], grey[:, :-_APART]).max(axis=1)
    blur_px = np.sort(rise[says] * (_APART * _COLUMNS / _GAUSS) / np.maximum(steepest[says], 1))
    return float(blur_px[(len(blur_px) - 1) * _SHARPEST // 100])


def _grain(grey: Image) -> int:
    """By how much the rows of a band differ, in means of as many pixels as those of `_means`."""
    wide = _BAND_ROWS * _COLUMNS
    used = grey.shape[1] // wide * wide
    if not used:
        return 0
    rows = grey[:, :used].reshape(len(grey) // _BAND_ROWS, _BAND_ROWS, -1, wide)
    means = rows.sum(axis=3, dtype=np.uint16) // wide
    return int((means.max(axis=1) - means.min(axis=1)).max())


def _noise(grey: Image) -> float:
    """Computed from the distance of pixels from the mean of their neighbours, away from edges."""
    rows = np.ascontiguousarray(grey[::_NOISE_ROWS])
    if rows.shape[1] < _NOISE_KERNEL.size:
        return 0.0
    bends = cv2.convertScaleAbs(cv2.filter2D(rows, cv2.CV_16S, _NOISE_KERNEL))
    counts = cv2.calcHist([bends], [0], None, [256], [0, 256]).ravel()
    wanted, below = _NOISE_SHARE * bends.size, np.cumsum(counts)
    level = int(np.searchsorted(below, wanted))
    # Within a level the values are taken to lie evenly.
    part = (wanted - (below[level] - counts[level])) / max(1.0, counts[level])
    return max(0.0, (level - 0.5 + float(part)) / _NOISE_BEND)
