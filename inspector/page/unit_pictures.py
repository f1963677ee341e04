"""Pictures of units from the evidence folder, whole or small; nothing outside of it."""

from __future__ import annotations

import asyncio
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np

from inspector.core.errors import FrameUnreadableError
from inspector.core.newest import Newest
from inspector.sources.jpeg import read_header

THUMB_WIDTH_PX = 320
THUMB_JPEG_QUALITY = 75
THUMBS_REMEMBERED = 256
MAX_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class Thumb:
    """A small JPEG, and the exact size of the picture itself."""

    jpeg: bytes
    width_px: int
    height_px: int


class UnitPictureFiles:
    """Reads pictures that unit events name. Event loop only; files are read in threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._thumbs: Newest[str, Thumb] = Newest(THUMBS_REMEMBERED)
        self._one_at_a_time = asyncio.Semaphore(1)

    async def picture(self, uri: str) -> bytes | None:
        """The file; None if it is gone or lies somewhere else."""
        path = self._inside(uri)
        return None if path is None else await asyncio.to_thread(_read, path)

    async def size(self, uri: str) -> tuple[int, int] | None:
        """Width and height of the picture by its header; None if it is gone or no picture."""
        content = await self.picture(uri)
        if content is None:
            return None
        try:
            return read_header(content).size
        except FrameUnreadableError:
            return None

    async def thumb(self, uri: str) -> Thumb | None:
        """The picture in small; the last ones are cached."""
        known = self._thumbs.get(uri)
        if known is not None:
            self._thumbs.move_to_end(uri)
            return known
        path = self._inside(uri)
        if path is None:
            return None
        async with self._one_at_a_time:  # so that a wall of thumbnails takes one core at most
            small = await asyncio.to_thread(_small, path)
        if small is not None:
            self._thumbs[uri] = small
        return small

    def _inside(self, uri: str) -> Path | None:
        """The path of the URI, if it is in a day's folder of ours: events are not trusted."""
        parts = urlsplit(uri)
        path = Path(unquote(parts.path))
        if parts.scheme != "file" or path.suffix != ".jpg" or ".." in path.parts:
            return None
        return path if path.parent.parent == self._folder else None


def _read(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
            return None
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _small(path: Path) -> Thumb | None:
    content = _read(path)
    if content is None:
        return None
    # The JPEG decoder needs half the work for half the size, and so on; thumbnails stay sharp.
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_REDUCED_COLOR_2)
    if image is None:
        return None
    height, width = image.shape[:2]
    if width > THUMB_WIDTH_PX:
        size = (THUMB_WIDTH_PX, max(1, round(height * THUMB_WIDTH_PX / width)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, THUMB_JPEG_QUALITY])
    return Thumb(jpeg.tobytes(), 2 * width, 2 * height)
