"""Keeps one picture of each undecided unit: the frame that shows most of what is claimed."""

from __future__ import annotations

from inspector.records import CameraId, Frame, UnitRef
from inspector.results.units import FrameResult

KEPT_PER_CAMERA = 4
"""Units whose picture waits for their verdict; the pool has a buffer for each."""


class UnitPictures:
    """Owns the buffers of the frames it keeps. Event loop only."""

    def __init__(self) -> None:
        self._kept: dict[CameraId, dict[int, tuple[float, Frame]]] = {}
        self.given_up = 0
        """Units that will be without a picture because too many others wait for their verdict."""

    def offer(self, unit: UnitRef, frame: Frame, result: FrameResult) -> None:
        """Take over a frame of an undecided unit; keeps the better of two, releases the other."""
        kept = self._kept.setdefault(unit.camera_id, {})
        score = max((d.confidence for d in result.detections or ()), default=0.0)
        before = kept.get(unit.index)
        if before is not None:
            if score <= before[0]:
                frame.lease.release()
                return
            before[1].lease.release()
        elif len(kept) >= KEPT_PER_CAMERA:
            self.given_up += 1
            frame.lease.release()
            return
        kept[unit.index] = (score, frame)

    def take(self, unit: UnitRef) -> Frame | None:
        """The picture of a unit that is decided, and the ownership of its buffer."""
        found = self._kept.get(unit.camera_id, {}).pop(unit.index, None)
        return None if found is None else found[1]
