"""What a user writes around a detector: letterbox and float32 before it, boxes after it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders.protocol import Picture

SIDE_PX = 640
GREY = 114
SCORE_THRESHOLD = 0.25
IOU_THRESHOLD = 0.45
_OBJECTNESS, _FIRST_CLASS = 4, 5
_OTHER_CLASS_PX = 4096
"""Boxes of different classes are moved this far apart, so that none suppresses another."""

Floats = NDArray[np.float32]


def letterbox(picture: Picture) -> Picture:
    """Scaled into a grey square of SIDE_PX, centred."""
    height, width = picture.shape[:2]
    scale = SIDE_PX / max(height, width)
    height, width = round(height * scale), round(width * scale)
    canvas = np.full((SIDE_PX, SIDE_PX, 3), GREY, np.uint8)
    top, left = (SIDE_PX - height) // 2, (SIDE_PX - width) // 2
    canvas[top : top + height, left : left + width] = cv2.resize(picture, (width, height))
    return canvas


def blob(picture: Picture) -> Floats:
    """(1, 3, SIDE_PX, SIDE_PX) red, green, blue, 0..1, letterboxed."""
    channels_first = letterbox(picture)[..., ::-1].transpose(2, 0, 1)
    scaled: Floats = np.ascontiguousarray(channels_first, np.float32) / np.float32(255)
    return scaled[None]


def count_boxes(candidates: Floats) -> int:
    """How many detections remain of a YOLO head's (n, 5 + classes) candidates."""
    candidates = candidates[candidates[:, _OBJECTNESS] > SCORE_THRESHOLD]
    scores = candidates[:, _FIRST_CLASS:] * candidates[:, _OBJECTNESS : _OBJECTNESS + 1]
    classes = scores.argmax(1)
    best = scores[np.arange(len(scores)), classes]
    sure = best > SCORE_THRESHOLD
    centres, sizes = candidates[sure, :2], candidates[sure, 2:4]
    apart = classes[sure, None].astype(np.float32) * _OTHER_CLASS_PX
    corners = np.hstack((centres - sizes / 2 + apart, centres + sizes / 2 + apart))
    return len(suppress(corners, best[sure]))


def suppress(boxes: Floats, scores: Floats) -> list[int]:
    """Non-maximum suppression: which of these (left, top, right, bottom) stay, best first."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    order, kept = scores.argsort()[::-1], []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        corner_low = np.maximum(boxes[best, :2], boxes[rest, :2])
        corner_high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = (corner_high - corner_low).clip(0).prod(1)
        order = rest[shared / (areas[best] + areas[rest] - shared) <= IOU_THRESHOLD]
    return kept
