"""Pictures to try a model on: read from files or drawn, and shown with the findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from inspector.core.errors import ConfigurationError, FrameUnreadableError
from inspector.core.places import Box, Polygon
from inspector.core.records import Finding, Image
from inspector.sources.files.stills import decode_still

MOST_PICTURES = 16
"""How many pictures of a folder are used: enough to see what a model does."""
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_COLOURS = [(60, 60, 230), (60, 180, 250), (80, 200, 80), (230, 160, 60), (200, 80, 200)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown:
    """A picture and its name."""

    name: str
    image: Image
    is_drawn: bool = False


def read_pictures(paths: Sequence[Path]) -> list[Shown]:
    """The pictures of these files, and the first of these folders.

    Raises:
        ConfigurationError: there is none, or one cannot be read.

    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in ENDINGS)
            if not inside:
                raise ConfigurationError(f"{path}: holds no picture ({', '.join(ENDINGS)})")
            found += inside[:MOST_PICTURES]
        else:
            found.append(path)
    return [_read(path) for path in found]


def _read(path: Path) -> Shown:
    try:
        return Shown(name=path.name, image=decode_still(path.read_bytes()))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except FrameUnreadableError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def drawn_pictures(width_px: int, height_px: int) -> list[Shown]:
    """A blank one, noise, and shapes on a grey ground."""
    rng = np.random.default_rng(11)
    blank = np.full((height_px, width_px, 3), 128, np.uint8)
    noise = rng.integers(0, 256, (height_px, width_px, 3), np.uint8)
    shapes = rng.normal(140, 12, (height_px, width_px, 3)).clip(0, 255).astype(np.uint8)
    for number in range(24):
        at = (int(rng.integers(width_px)), int(rng.integers(height_px)))
        colour = tuple(int(level) for level in rng.integers(0, 256, 3))
        if number % 2:
            cv2.circle(shapes, at, int(rng.integers(3, 2 + width_px // 8)), colour, -1)
        else:
            far = (at[0] + int(rng.integers(4, 90)), at[1] + int(rng.integers(4, 60)))
            cv2.rectangle(shapes, at, far, colour, -1)
    listed = (("blank", blank), ("noise", noise), ("shapes", shapes))
    return [Shown(name=name, image=image, is_drawn=True) for name, image in listed]


def with_findings(image: Image, findings: Iterable[Finding], codes: Sequence[str]) -> Image:
    """The picture with each finding drawn on it."""
    canvas = image.copy()
    thick = max(1, round(max(image.shape[:2]) / 600))
    for finding in findings:
        colour = _COLOURS[finding.code_index % len(_COLOURS)]
        at = (4, 4)
        if isinstance(finding.place, Box):
            box = finding.place
            at = (round(box.left_px), round(box.top_px))
            cv2.rectangle(canvas, at, (round(box.right_px), round(box.bottom_px)), colour, thick)
        elif isinstance(finding.place, Polygon):
            corners = np.array(finding.place.points_px, np.float32).round().astype(np.int32)
            at = (int(corners[:, 0].min()), int(corners[:, 1].min()))
            cv2.polylines(canvas, [corners], True, colour, thick)
        told = f"{codes[finding.code_index]} {finding.confidence:.2f}"
        place = (max(0, at[0]), max(12, at[1] - 4))
        cv2.putText(canvas, told, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)
    return canvas


def write_png(path: Path, image: Image) -> None:
    """Write it; the folder is made.

    Raises:
        ConfigurationError: it cannot be written.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from None
