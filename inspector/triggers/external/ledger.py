"""Keeps track of which triggers of the stream have their verdict in the journal: pure.

After a restart, every trigger of the stream must be answered once: not those whose verdict is
journaled, but all others, including those that had been read and had no verdict at a power cut. So
the position in the stream is kept in the journal, in the same transaction as the verdicts (its
counters), and not in Redis: a consumer group's acknowledgement is either too early or too late for
that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from inspector.core.records import CameraId

COUNTER_PREFIX = "triggers:"
BEGUN = "triggers-begun"
"""Set once the station knows the position from which it answers; a position of 0 would not show
that."""
EPOCH = "triggers-epoch"
"""How often the stream began again. The journal's counters never go back, but positions then do:
each epoch has separate names."""
_SEQUENCE_BITS = 20
_MAX_SEQUENCE = (1 << _SEQUENCE_BITS) - 1
_MAX_MS = (1 << 42) - 1
"""Together 62 bits: a counter of the journal is a signed number of 64."""


def position_of(entry_id: str) -> int:
    """The position of an entry in its stream, as one growing number.

    Raises:
        ValueError: this is no entry ID.

    """
    ms, _dash, sequence = entry_id.partition("-")
    return min(int(ms), _MAX_MS) << _SEQUENCE_BITS | min(int(sequence or 0), _MAX_SEQUENCE)


def is_exact(entry_id: str) -> bool:
    """Whether this entry's position is unique: not for IDs made by hand that are out of range."""
    ms, _dash, sequence = entry_id.partition("-")
    return int(ms) < _MAX_MS and int(sequence or 0) < _MAX_SEQUENCE


def id_of(position: int) -> tuple[int, int]:
    """The entry ID that a position stands for: milliseconds, and the number within."""
    return position >> _SEQUENCE_BITS, position & _MAX_SEQUENCE


def ms_of(position: int) -> int:
    """When an entry was added, by Redis's clock, if Redis gave it its ID."""
    return position >> _SEQUENCE_BITS


def counter_names(cameras: Iterable[CameraId], epoch: int = 0) -> list[str]:
    """The names of the journal's counters for these cameras, in the epoch of `EPOCH`."""
    return [BEGUN, EPOCH, *(_name(camera, epoch) for camera in cameras)]


def _name(camera: CameraId, epoch: int) -> str:
    return f"{COUNTER_PREFIX}{camera}" + (f"@{epoch}" if epoch else "")


class Ledger:
    """Follows the triggers of one stream from being read to being answered, per camera.

    Holds a number per trigger that has no verdict yet.
    """

    def __init__(self, cameras: Iterable[CameraId], counters: Mapping[str, int]) -> None:
        """`counters` are the journal's; those that are missing, or 0, were never recorded."""
        self._epoch = counters.get(EPOCH, 0)
        noted = {camera: counters.get(_name(camera, self._epoch), 0) for camera in cameras}
        last = max(noted.values(), default=0)
        self._has_begun = bool(last or self._epoch or counters.get(BEGUN, 0))
        self._is_begin_to_note = False
        # A new camera has missed nothing before the others' positions.
        self._answered = {camera: position or last for camera, position in noted.items()}
        self._open: dict[CameraId, dict[int, int]] = {camera: {} for camera in noted}
        """By camera, the position of each unit number that waits for its verdict."""
        self._read = 0

    @property
    def resume_after(self) -> int | None:
        """The position to continue from; None if this station never read its stream of triggers."""
        return min(self._answered.values(), default=0) if self._has_begun else None

    @property
    def answered_through(self) -> int:
        """The last position whose trigger is answered, for any camera."""
        return max(self._answered.values(), default=0)

    @property
    def unanswered(self) -> int:
        """The number of triggers that were read and have no verdict in the journal."""
        return sum(map(len, self._open.values()))

    def begin(self, position: int) -> None:
        """At the very first start: triggers up to there are not ours to answer."""
        self._has_begun = self._is_begin_to_note = True
        self.read(position)

    def begin_anew(self, known_through: int, *, is_all_read: bool) -> int:
        """The stream began again: its entries up to there are known from before.

        Returns the position after which to read. `is_all_read`: all of them were read since we
        started; otherwise some may still lack answers. A trigger that waits for its verdict and is
        no longer in the stream still gets it.
        """
        self._epoch += 1
        self._has_begun = True
        self._answered = {c: min(through, known_through) for c, through in self._answered.items()}
        after = known_through if is_all_read else min(self._answered.values(), default=0)
        self._read = after
        for open_ in self._open.values():
            for number in [n for n, position in open_.items() if position > known_through]:
                del open_[number]
        return after

    def is_answered(self, camera: CameraId, position: int) -> bool:
        """Whether a trigger's verdict was in the journal when we started."""
        return position <= self._answered[camera]

    def opened(self, camera: CameraId, number: int, position: int) -> None:
        """Record that a trigger opened a unit of this number."""
        self._open[camera][number] = position

    def read(self, position: int) -> None:
        """Record that everything up to there was read, and its units recorded as opened."""
        self._read = max(self._read, position)

    def journaled(self, camera: CameraId, number: int) -> None:
        """Record that a verdict enters the journal; not every unit comes from the stream."""
        self._open.get(camera, {}).pop(number, None)

    def counters(self) -> dict[str, int]:
        """The counters to write into the journal now: everything up to there is answered."""
        positions = {
            _name(camera, self._epoch): max(
                self._answered[camera], min(open_.values()) - 1 if open_ else self._read
            )
            for camera, open_ in self._open.items()
            if open_ or self._read or self._epoch
        }
        begun = {BEGUN: 1} if self._is_begin_to_note else {}
        return positions | begun | ({EPOCH: self._epoch} if self._epoch else {})
