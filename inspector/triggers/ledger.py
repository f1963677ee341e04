"""Which triggers of the stream have their verdict in the journal: pure.

A restart must answer every trigger of the stream once: not those whose verdict is journaled, and
all others, also those that were read and had no verdict yet when the power went. So the position
in the stream is kept in the journal, in the same transaction as the verdicts (its counters), and
not in Redis: a consumer group's acknowledgement is either too early or too late for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from inspector.records import CameraId

COUNTER_PREFIX = "triggers:"
_SEQUENCE_BITS = 20
_MAX_SEQUENCE = (1 << _SEQUENCE_BITS) - 1
_MAX_MS = (1 << 42) - 1
"""Together 62 bits: a counter of the journal is a signed number of 64."""


def position_of(entry_id: str) -> int:
    """The place of an entry in its stream, as one number that grows with it.

    Raises:
        ValueError: this is no entry ID.

    """
    ms, _dash, sequence = entry_id.partition("-")
    return min(int(ms), _MAX_MS) << _SEQUENCE_BITS | min(int(sequence or 0), _MAX_SEQUENCE)


def ms_of(position: int) -> int:
    """When an entry was added, by Redis's clock, where Redis gave it its ID."""
    return position >> _SEQUENCE_BITS


class Ledger:
    """Follows the triggers of one stream from being read to being answered, per camera.

    Holds a number per trigger that has no verdict yet.
    """

    def __init__(self, cameras: Iterable[CameraId], counters: Mapping[str, int]) -> None:
        """`counters` are the journal's; those that are missing, or 0, were never noted."""
        noted = {camera: counters.get(COUNTER_PREFIX + camera, 0) for camera in cameras}
        last = max(noted.values(), default=0)
        # A camera that is new has missed nothing before what the others have.
        self._answered = {camera: position or last for camera, position in noted.items()}
        self._open: dict[CameraId, dict[int, int]] = {camera: {} for camera in noted}
        """By camera, the position of each unit number that waits for its verdict."""
        self._read = 0

    @property
    def resume_after(self) -> int | None:
        """Where to go on reading; None when this station never answered a trigger of its stream."""
        return min(self._answered.values(), default=0) or None

    @property
    def unanswered(self) -> int:
        """Triggers that were read and have no verdict in the journal."""
        return sum(map(len, self._open.values()))

    def is_answered(self, camera: CameraId, position: int) -> bool:
        """Whether a trigger's verdict was in the journal when we started."""
        return position <= self._answered[camera]

    def opened(self, camera: CameraId, number: int, position: int) -> None:
        """A trigger opened a unit of this number."""
        self._open[camera][number] = position

    def read(self, position: int) -> None:
        """Everything up to there was read; what asks for a verdict was noted as opened."""
        self._read = max(self._read, position)

    def journaled(self, camera: CameraId, number: int) -> None:
        """A verdict enters the journal; not every unit comes from the stream."""
        self._open.get(camera, {}).pop(number, None)

    def counters(self) -> dict[str, int]:
        """What the journal is to note now: everything up to there is answered."""
        return {
            COUNTER_PREFIX + camera: min(open_.values()) - 1 if open_ else self._read
            for camera, open_ in self._open.items()
            if open_ or self._read
        }
