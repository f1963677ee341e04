"""What lens, sensor and transport do to a picture: smear, noise, tone, compression. Pure."""

from __future__ import annotations

import math
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Plane = NDArray[np.float32]

_SMEAR_PX = 9
"""Side of the smear's kernel; no smear is longer."""
_FINE = 16
"""The kernel is drawn so many times larger, and reduced."""
_CLOUD_PX = 40


def smear(length_px: int, angle_deg: float) -> Plane:
    """The kernel of a straight movement while the shutter was open, at most 9 px."""
    turn, reach = math.radians(angle_deg), length_px / 2
    dx, dy = math.cos(turn) * reach, math.sin(turn) * reach
    middle = _SMEAR_PX / 2
    first = (round(_FINE * (middle - dx)), round(_FINE * (middle - dy)))
    last = (round(_FINE * (middle + dx)), round(_FINE * (middle + dy)))
    wide = np.zeros((_FINE * _SMEAR_PX, _FINE * _SMEAR_PX), np.uint8)
    cv2.line(wide, first, last, 255, _FINE)
    kernel = cv2.resize(wide, (_SMEAR_PX, _SMEAR_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(kernel.astype(np.float32) / kernel.sum(), np.float32)


def tone(gamma: float) -> Picture:
    """A table for `cv2.LUT`."""
    return np.round(255 * np.power(np.linspace(0, 1, 256), gamma)).astype(np.uint8)


def noise(size_px: int, rng: np.random.Generator) -> Plane:
    """Standard normal numbers, [size, size]."""
    return _piece(_NOISE, size_px, rng)


def speckle(shown: Picture, strength: float, rng: np.random.Generator) -> Picture:
    """Woven laminate, etched copper: a fine grain and broad clouds of brightness."""
    size_px = shown.shape[0]
    side = size_px // _CLOUD_PX + 2
    clouds = rng.normal(0, 1, (side, side)).astype(np.float32)
    grain = cv2.resize(clouds, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    grain = (grain + _piece(_GRAIN, size_px, rng)) * strength
    return np.asarray(cv2.add(shown, cv2.merge([grain] * 3), dtype=cv2.CV_8U), np.uint8)


def through_jpeg(shown: Picture, quality: int) -> Picture:
    """Coded and decoded, colours at half the resolution."""
    _, coded = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def through_h264(shown: Picture, rate_factor: int) -> Picture:
    """Coded by libx264 as a key frame of this CRF, and decoded; [even, even, 3] BGR."""
    import av  # noqa: PLC0415 - evaluation does without

    rows, columns = shown.shape[:2]
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = columns, rows, "yuv420p"
    encoder.time_base, encoder.thread_count = Fraction(1, 25), 1
    # A faster preset goes without the deblocking that makes H.264 look as it does.
    encoder.options = {"crf": str(rate_factor), "preset": "superfast", "tune": "zerolatency"}
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    frame = av.VideoFrame.from_ndarray(shown, format="bgr24")
    frame.pts = 0
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    frames = [one for packet in packets for one in decoder.decode(packet)]
    frames.extend(decoder.decode(None))
    return np.asarray(frames[0].to_ndarray(format="bgr24"), np.uint8)


def _piece(bank: Plane, size_px: int, rng: np.random.Generator) -> Plane:
    row, column = rng.integers(0, bank.shape[0] - size_px, 2)
    piece = bank[row : row + size_px, column : column + size_px]
    return piece.T if rng.random() < 0.5 else piece


_NOISE = np.random.default_rng(7).standard_normal((1900, 1900), np.float32)
"""Drawing a million normal numbers costs more than a picture may: pieces of this are used."""
_GRAIN = 2.5 * cv2.GaussianBlur(_NOISE, (0, 0), 1.0)
