"""A camera of a drawn line instead of a real one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from threading import Event

from inspector.core.errors import EndOfFootageError
from inspector.core.records import CameraId, Grabbed, Image
from inspector.simulation.belt import SimulatedView
from inspector.simulation.options import Pace, View, parse_options

_NS = 1_000_000_000
_LATE_NS = _NS
"""A strobe line whose reader is later than this continues from now: its boards wait."""
_WAITS_FRAMES = 2
"""A frame of a belt that is later than this is lost, as with a real camera."""
_SLACK_NS = 15_000_000
"""Composing a board takes about 10 ms: done ahead, while the next frame is further away."""


class SimulatedLine:
    """Boards with drawn circuits and known defects, on a belt or one picture each.

    `options` are documented field by field at `SimulationOptions`; `size` is the picture's
    (width, height). One thread, as every source; `stop` ends a wait, and the frame then due is
    delivered early. Frame n after `open` is the same in every run, and
    `inspector.simulation.belt.SimulatedView.truth` says what is in it.

    Raises:
        ValueError: an option is unknown or out of range, or the size is too small.

    """

    def __init__(
        self, camera_id: CameraId, options: Mapping[str, str], size: tuple[int, int], stop: Event
    ) -> None:
        self.camera_id = camera_id
        self._options = parse_options(options)
        self._view = SimulatedView(self._options, size)
        self._stop = stop
        strobe = self._options.view is View.STROBE
        interval_s = self._options.takt_s if strobe else 1 / self._options.fps
        self._interval_ns = round(interval_s * _NS)
        self._next_index = 0
        self._grabbed_index: int | None = None
        self._due_ns = 0

    def open(self) -> None:
        """Start the line from its first frame; composes the first boards, about 0.1 s."""
        self._next_index = 0
        self._grabbed_index = None
        while self._view.compose_ahead(0):
            pass
        self._due_ns = time.monotonic_ns()

    def grab(self) -> Grabbed:
        """Wait until the next frame is due.

        Raises:
            EndOfFootageError: the last board of a line with an end has left.

        """
        index = self._next_index + self._passed_by()
        total = self._view.frames_total
        if total is not None and index >= total:
            msg = f"the simulated line of camera {self.camera_id} ended after {total} frames"
            raise EndOfFootageError(msg)
        if self._options.pace is Pace.RECORDED:
            self._wait(index)
        self._next_index = index + 1
        self._grabbed_index = index
        return Grabbed(
            captured_mono_ns=time.monotonic_ns(),
            captured_unix_ns=time.time_ns(),
            label=self._view.label(index),
        )

    def retrieve_into(self, image: Image) -> None:
        """Write the grabbed frame into `image`, in place.

        Under 1 ms for 1280x720; 10 ms where a board appears that was not composed ahead.
        """
        if self._grabbed_index is None:
            msg = "retrieve_into needs a grabbed frame"
            raise RuntimeError(msg)
        self._view.render_into(self._grabbed_index, image)

    def close(self) -> None:
        """Forget the grabbed frame; `open` starts from the beginning."""
        self._grabbed_index = None

    def _passed_by(self) -> int:
        """How many frames were lost: a belt goes on while its reader is busy.

        Units of a strobe line wait for their flash, and a line at pace `max` for its reader.
        """
        late_ns = time.monotonic_ns() - self._due_ns
        waits = self._options.view is View.STROBE or self._options.pace is not Pace.RECORDED
        if waits or self._grabbed_index is None or late_ns <= _WAITS_FRAMES * self._interval_ns:
            return 0
        passed = late_ns // self._interval_ns
        self._due_ns += passed * self._interval_ns
        return passed

    def _wait(self, index: int) -> None:
        """Compose upcoming boards while there is time, then wait for the frame."""
        if self._due_ns - time.monotonic_ns() > _SLACK_NS:
            self._view.compose_ahead(index)
        now_ns = time.monotonic_ns()
        if now_ns - self._due_ns > _LATE_NS:
            self._due_ns = now_ns
        self._stop.wait(max(0, self._due_ns - now_ns) / _NS)
        self._due_ns += self._interval_ns
