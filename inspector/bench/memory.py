"""Cameras whose pictures are in memory, so that measurements start after decoding."""

from __future__ import annotations

import time
from threading import Event

import cv2
import numpy as np

from inspector.core.errors import EndOfFootageError
from inspector.core.records import Grabbed, Image
from inspector.settings.types import Size
from inspector.simulation.belt import SimulatedView
from inspector.simulation.options import parse_options

NS_PER_S = 1_000_000_000
_BOARD_IN_VIEW = 60
"""A frame of the simulated belt that shows a board."""
_DRAWN = (1280, 720)


def board_picture(size: Size) -> Image:
    """A drawn board on its belt: (height, width, 3) uint8, BGR."""
    drawn: Image = np.empty((_DRAWN[1], _DRAWN[0], 3), np.uint8)
    view = SimulatedView(parse_options({"view": "belt", "seed": "1"}), _DRAWN)
    view.render_into(_BOARD_IN_VIEW, drawn)
    if tuple(size) == _DRAWN:
        return drawn
    scaled: Image = np.asarray(cv2.resize(drawn, tuple(size)), np.uint8)
    return scaled


class MemoryCamera:
    """A `FrameSource` that repeats one picture a given number of times.

    Without a rate it is as fast as it is read. With one it is an open loop: a frame that is read
    late counts as captured when it was due, so that waiting is never left out. One that is waited
    for is captured when the wait ends, as a camera's is: the timer's slack is not ours.
    """

    def __init__(
        self, picture: Image, *, frames: int, rate_hz: float | None, stop: Event, phase_s: float = 0
    ) -> None:
        """`phase_s`: how long after `open` the first frame is due."""
        self._picture = picture
        self._frames = frames
        self._interval_ns = None if rate_hz is None else round(NS_PER_S / rate_hz)
        self._stop = stop
        self._phase_ns = round(phase_s * NS_PER_S)
        self._given = 0
        self._began_ns = 0
        self._filled: set[int] = set()

    def open(self) -> None:
        """The first frame is due now, or after the phase."""
        self._began_ns = time.monotonic_ns() + self._phase_ns

    def grab(self) -> Grabbed:
        """Wait until the next frame is due; EndOfFootageError after the last."""
        if self._given == self._frames:
            raise EndOfFootageError
        captured_ns = time.monotonic_ns()
        if self._interval_ns is not None:
            due_ns = self._began_ns + self._given * self._interval_ns
            if captured_ns < due_ns:
                self._stop.wait((due_ns - captured_ns) / NS_PER_S)
                captured_ns = time.monotonic_ns()
            else:
                captured_ns = due_ns
        self._given += 1
        late_ns = time.monotonic_ns() - captured_ns
        return Grabbed(captured_mono_ns=captured_ns, captured_unix_ns=time.time_ns() - late_ns)

    def retrieve_into(self, image: Image) -> None:
        """Leave a buffer that already holds the picture as it is."""
        address = image.__array_interface__["data"][0]
        if address not in self._filled:
            np.copyto(image, self._picture)
            self._filled.add(address)

    def close(self) -> None:
        """Nothing to disconnect."""
