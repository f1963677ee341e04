"""Parts that are no circuit boards, drawn: brushed metal, a printed label, a moulded part.

Each good part is a little different, as such parts are; a bad one has one thing that none has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.geometry import between_centres, frame_matrix
from inspector.core.records import Image, Outline
from inspector.products.reference import ShownUnit, Sight

Floats = NDArray[np.float32]
Rng = np.random.Generator
FRAME_PX = (860, 640)
FRAMES = 3
_SEED = 77
_SCRATCHED = 0.7
"""Of bad plates; the others have a dent."""


def brushed_metal(rng: Rng, *, bad: bool) -> Image:
    """A plate whose brushing differs on each, with holes and a stamp."""
    height, width = 460, 640
    lines = rng.normal(0, 1, (height, width)).astype(np.float32)
    grain = cv2.blur(lines, (61, 1)) * 42
    picture = 150 + grain + cv2.GaussianBlur(lines, (0, 0), 60) * 60
    for x, y in ((50, 50), (590, 50), (50, 410), (590, 410)):
        cv2.circle(picture, (x, y), 20, 45.0, -1, cv2.LINE_AA)
        cv2.circle(picture, (x, y), 24, 185.0, 2, cv2.LINE_AA)
    cv2.rectangle(picture, (200, 330), (440, 420), 120.0, 3, cv2.LINE_AA)
    _text(picture, "SERIE 7", (222, 392), size=1.6, thick=4, ink=85.0)
    if bad:
        x, y = int(rng.integers(90, 540)), int(rng.integers(80, 310))
        if rng.random() < _SCRATCHED:
            turn, length = rng.uniform(0.5, 2.6), rng.uniform(50, 130)
            end = (int(x + length * np.cos(turn)), int(y + length * np.sin(turn)))
            shade = float(rng.choice([70.0, 235.0]))
            cv2.line(picture, (int(x), int(y)), end, shade, int(rng.integers(2, 4)), cv2.LINE_AA)
        else:
            _blob(picture, rng, (x, y), radius=rng.uniform(10, 18), by=-60)
    return _coloured(picture, (1.0, 0.99, 0.96), rng)


def printed_label(rng: Rng, *, bad: bool) -> Image:
    """A label with text that is the same on all, and a number that is not."""
    height, width = 420, 640
    picture = np.full((height, width), 228, np.float32)
    ink = 40.0 + rng.uniform(-12, 12)
    dx, dy = rng.uniform(-1, 1, 2)

    def text(words: str, x: float, y: float, size: float, thick: int = 2) -> None:
        at = (round(x + dx), round(y + dy))
        _text(picture, words, at, size=size, thick=thick, ink=ink)

    cv2.rectangle(picture, (14, 14), (width - 14, height - 14), ink, 3, cv2.LINE_AA)
    text("ACID CLEANER 5 L", 40, 75, 1.5, 3)
    for row, words in enumerate(
        (
            "Keep out of reach of children.",
            "Wear gloves and goggles.",
            "Rinse with plenty of water.",
        )
    ):
        text(words, 40, 130 + 38 * row, 0.9)
    text(f"LOT {rng.integers(100000, 999999)}", 40, 380, 1.0)
    cv2.drawContours(
        picture, [np.array([[540, 240], [610, 370], [470, 370]])], -1, ink, 6, cv2.LINE_AA
    )
    text("!", 528, 355, 2.4, 7)
    bars = np.random.default_rng(5).integers(2, 7, 40)
    edges = 300 + np.cumsum(bars)
    for left, right in zip(edges[:-1:2], edges[1::2], strict=False):
        if right < 455:  # noqa: PLR2004 - where the sign begins
            cv2.rectangle(picture, (int(left), 290), (int(right) - 1, 385), ink, -1)
    if bad:
        kind = rng.integers(3)
        x, y = int(rng.integers(60, 480)), int(rng.integers(60, 220))
        if kind == 0:  # ink that was smeared
            _blob(picture, rng, (x, y), radius=rng.uniform(9, 16), by=-110)
        elif kind == 1:  # a nozzle that is blocked
            x = int(rng.integers(60, 420))
            picture[55:78, x : x + 26] = 228
        else:  # a streak
            cv2.line(picture, (x, y), (x + int(rng.integers(40, 110)), y + 3), 120.0, 3)
    return _coloured(picture, (0.96, 1.0, 1.0), rng)


def moulded_part(rng: Rng, *, bad: bool) -> Image:
    """A cover with ribs and bosses, whose gloss differs on each."""
    height, width = 480, 620
    depth = np.zeros((height, width), np.float32)
    cv2.rectangle(depth, (30, 30), (width - 30, height - 30), 6.0, -1)
    for x in range(110, width - 80, 80):
        cv2.rectangle(depth, (x, 60), (x + 10, height - 60), 11.0, -1)
    for x, y in ((75, 75), (width - 75, 75), (75, height - 75), (width - 75, height - 75)):
        cv2.circle(depth, (x, y), 26, 13.0, -1)
        cv2.circle(depth, (x, y), 9, 2.0, -1)
    if bad:
        kind = rng.integers(4)
        x, y = int(rng.integers(120, width - 120)), int(rng.integers(100, height - 100))
        if kind == 0:  # too little was injected
            depth[height - 60 :, int(x) : int(x) + 70] = 0
        elif kind == 1:  # too much
            cv2.ellipse(depth, (int(x), 27), (24, 9), 0, 0, 360, 6.0, -1)
        elif kind == 2:  # noqa: PLR2004 - a sink mark
            _blob(depth, rng, (x, y), radius=rng.uniform(11, 18), by=-5)
        else:  # a crack
            steps = rng.normal(0, 9, (7, 2)) + np.array((9, 4))
            points = np.cumsum(steps, axis=0) + np.array((x, y))
            cv2.polylines(depth, [points.astype(np.int32)], False, 0.0, 3)
    smooth = cv2.GaussianBlur(depth, (0, 0), 1.6)
    slope = cv2.Sobel(smooth, cv2.CV_32F, 1, 1, ksize=3) + cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    gloss = rng.uniform(4.5, 6.5)
    rough = cv2.GaussianBlur(rng.normal(0, 1, depth.shape).astype(np.float32), (0, 0), 1.2) * 5
    lit = np.asarray(95 + 4 * smooth + gloss * slope + rough, np.float32)
    return _coloured(lit, (0.75, 0.72, 0.7), rng)


SURFACES: Mapping[str, Callable[..., Image]] = {
    "brushed metal": brushed_metal,
    "printed label": printed_label,
    "moulded part": moulded_part,
}


def shown(name: str, number: int, *, bad: bool, turned: bool = False) -> ShownUnit:
    """The part as three frames show it, on a belt; `turned`: lying as it fell."""
    rng = np.random.default_rng([_SEED, number, int(bad)])
    picture = SURFACES[name](rng, bad=bad)
    turn_deg = float(rng.uniform(0, 360)) if turned else 0.0
    sights = [_sight(picture, rng, turn_deg + float(rng.normal(0, 0.6))) for _ in range(FRAMES)]
    return ShownUnit(number=number, sights=tuple(sights))


def _sight(picture: Image, rng: Rng, turn_deg: float) -> Sight:
    height_px, width_px = picture.shape[:2]
    lies = Outline(
        centre_x_px=FRAME_PX[0] / 2 + float(rng.uniform(-30, 30)),
        centre_y_px=FRAME_PX[1] / 2 + float(rng.uniform(-20, 20)),
        width_px=width_px,
        height_px=height_px,
        turn_deg=turn_deg,
    )
    belt = np.full((FRAME_PX[1], FRAME_PX[0], 3), 38, np.uint8)
    there = np.array(between_centres(frame_matrix(lies)))
    cv2.warpAffine(picture, there, FRAME_PX, dst=belt, borderMode=cv2.BORDER_TRANSPARENT)
    light = np.linspace(1 + rng.uniform(-0.05, 0.05), 1 + rng.uniform(-0.05, 0.05), FRAME_PX[0])
    seen = belt * light[None, :, None] + rng.normal(0, 3, belt.shape)
    return Sight(image=np.clip(seen, 0, 255).astype(np.uint8), outline=lies)


def _text(
    picture: Floats, words: str, at: tuple[int, int], *, size: float, thick: int, ink: float
) -> None:
    mask = np.zeros(picture.shape, np.uint8)
    cv2.putText(mask, words, at, cv2.FONT_HERSHEY_SIMPLEX, size, 255, thick, cv2.LINE_AA)
    share = mask.astype(np.float32) / 255
    picture += share * (ink - picture)


def _blob(picture: Floats, rng: Rng, at: tuple[float, float], *, radius: float, by: float) -> None:
    mask = np.zeros(picture.shape, np.float32)
    axes = (int(radius * rng.uniform(0.7, 1.3)), int(radius * rng.uniform(0.7, 1.3)))
    cv2.ellipse(mask, (int(at[0]), int(at[1])), axes, rng.uniform(0, 180), 0, 360, 1.0, -1)
    picture += by * cv2.GaussianBlur(mask, (0, 0), 2.5)


def _coloured(grey: Floats, tint: tuple[float, float, float], rng: Rng) -> Image:
    gain = rng.uniform(0.95, 1.05)
    colour = grey[..., None] * np.array(tint, np.float32) * gain
    return np.asarray(np.clip(colour, 0, 255), np.uint8)
