"""Lays a product's reference where a unit lies in its picture, so that people can compare them."""

from __future__ import annotations

from threading import Lock

import cv2
import numpy as np

from inspector.core.geometry import between_centres
from inspector.core.newest import Newest
from inspector.core.recipes import Reference
from inspector.core.records import Image
from inspector.products.registration import Registrar

PREPARED = 2
"""How many references are cached with what was computed from them: about 20 MB each."""
_JPEG_QUALITY = 90
_MOST_PIXELS = 50_000_000


class BesideUnits:
    """Lays references onto pictures of units. Any thread; one picture at a time."""

    def __init__(self) -> None:
        self._prepared: Newest[str, Registrar] = Newest(PREPARED)
        self._lock = Lock()

    def reference_on(self, picture_jpeg: bytes, reference: Reference) -> bytes | None:
        """The reference as a JPEG of the size of the unit's picture, each part where the unit's is.

        About 30 ms of CPU. None if the picture cannot be read. For a unit that is not like the
        reference both are centred, because it has no place on it.
        """
        picture = cv2.imdecode(np.frombuffer(picture_jpeg, np.uint8), cv2.IMREAD_COLOR)
        if picture is None or picture.size > 3 * _MOST_PIXELS:
            return None
        with self._lock:
            pose = self._registrar(reference).register(np.asarray(picture, np.uint8))
        height_px, width_px = picture.shape[:2]
        laid = cv2.warpAffine(
            reference.mean,
            np.array(between_centres(pose.matrix)),
            (width_px, height_px),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
        )
        return _jpeg(np.asarray(laid, np.uint8))

    def _registrar(self, reference: Reference) -> Registrar:
        return self._prepared.used(
            reference.sha256, lambda: Registrar(reference.mean, reference.deviation)
        )


def _jpeg(pixels: Image) -> bytes:
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    return bytes(cv2.imencode(".jpg", pixels, quality)[1])
