"""Knows which units of a camera are undecided, and which verdict is due next: pure, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from inspector.core.newest import Newest
from inspector.core.records import CameraId, MissReason, UnitClosed, UnitOpened, UnitRef
from inspector.core.verdicts import DecidedUnit, FrameResult

REMEMBERED_UNITS = 64
"""How many decided units are remembered, to distinguish a frame settled twice from a late one."""


@dataclass(slots=True)
class _Open:
    """A unit that is not decided yet."""

    unit: UnitRef
    deadline_ns: int | None
    frames: dict[int, FrameResult] = field(default_factory=dict)
    """By sequence number."""
    frames_expected: int | None = None
    frames_awaited: int | None = None
    """How many frames will be settled in total; None while more may be taken."""
    miss: MissReason | None = None
    detail: str = ""

    @property
    def is_complete(self) -> bool:
        return self.frames_awaited is not None and len(self.frames) >= self.frames_awaited

    def decided(self) -> DecidedUnit:
        return DecidedUnit(
            unit=self.unit,
            frames_expected=max(1, self.frames_expected or 0),
            frames=tuple(self.frames[sequence] for sequence in sorted(self.frames)),
            miss=self.miss,
            detail=self.detail,
        )


class UnitBook:
    """The units of one camera, from their opening to their one verdict.

    A unit is decided when it is closed and every frame taken for it is settled, or when its
    deadline has passed. Decided units are given out once each, in the order they came: one that
    is decided early waits for those before it, at most until their deadlines.

    Openings, closings and missed frames take another path than inspected frames. The code that
    feeds the book must bring it what was announced before it brings a frame: an unknown unit
    raises.

    What it holds is bounded by the deadline: no unit stays longer, and one that is decided early
    leaves with the last of those before it. A recording has no deadline; there the frames under way
    are the bound, since a recording's frames wait for each other. Of decided units it remembers
    `REMEMBERED_UNITS`.
    """

    def __init__(self, camera_id: CameraId, *, deadline_ns: int | None) -> None:
        """Keep nothing yet.

        `deadline_ns` counts from a unit's trigger; None: units wait for ever (recordings).
        """
        self._camera_id = camera_id
        self._deadline_ns = deadline_ns
        self._open: dict[int, _Open] = {}
        self._decided: dict[int, DecidedUnit] = {}
        self._closed: set[int] = set()
        self._remembered: Newest[int, set[int]] = Newest(
            REMEMBERED_UNITS, on_forgotten=self._closed.discard
        )
        self._opened = 0
        self._given = 0

    @property
    def opened_units(self) -> int:
        """How many units there have been so far."""
        return self._opened

    @property
    def undecided(self) -> int:
        """Units that wait for frames, or for their end."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """Units that are decided and wait for an earlier one."""
        return len(self._decided)

    @property
    def next_deadline_ns(self) -> int | None:
        """When to call `expire` next, by the monotonic clock; None for now."""
        deadlines = (u.deadline_ns for u in self._open.values() if u.deadline_ns is not None)
        return min(deadlines, default=None)

    def opened(self, opened: UnitOpened) -> None:
        """Open a unit.

        Raises:
            RuntimeError: it is not the next one; a programming error.

        """
        unit = opened.unit
        if unit.index != self._opened:
            raise RuntimeError(
                f"unit {unit.index} of {self._camera_id} was opened, expected unit {self._opened}"
            )
        self._opened += 1
        deadline_ns = self._deadline_ns
        self._open[unit.index] = _Open(
            unit=unit,
            deadline_ns=None if deadline_ns is None else unit.triggered_mono_ns + deadline_ns,
            frames_expected=opened.frames_expected,
            frames_awaited=opened.frames_expected,
        )

    def settled(self, frame: FrameResult) -> list[DecidedUnit] | None:
        """Settle a frame that was inspected or missed; returns the units whose turn has come.

        None where the frame is late: its unit was decided before, and the frame is dropped. Call
        `expire` first: a frame that comes after the deadline is late even if `expire` has not run
        yet.

        Raises:
            RuntimeError: its unit was never opened, or it was settled before; programming errors.

        """
        if frame.ref.unit is None:
            raise RuntimeError(f"{_name(frame)} was settled and belongs to no unit")
        index, sequence = frame.ref.unit.index, frame.ref.sequence
        if index >= self._opened:
            raise RuntimeError(f"{_name(frame)} was settled before unit {index} was opened")
        unit = self._open.get(index)
        seen = unit.frames if unit is not None else self._remembered.get(index, set())
        if sequence in seen:
            raise RuntimeError(f"{_name(frame)} was settled twice")
        if unit is None:
            self._remembered.get(index, set()).add(sequence)
            return None
        unit.frames[sequence] = frame
        return self._due(index)

    def closed(self, closed: UnitClosed) -> list[DecidedUnit]:
        """Close a unit: no further frame comes; returns the units whose turn has come.

        Raises:
            RuntimeError: it was never opened, or is closed already; programming errors.

        """
        index = closed.unit.index
        if index >= self._opened:
            raise RuntimeError(f"unit {index} of {self._camera_id} was closed and never opened")
        unit = self._open.get(index)
        twice = unit.frames_awaited is not None if unit is not None else index in self._closed
        if twice:
            raise RuntimeError(f"unit {index} of {self._camera_id} was closed twice")
        if unit is None:
            # Its deadline passed while it was in view.
            if index in self._remembered:
                self._closed.add(index)
            return []
        unit.frames_expected = closed.frames_expected
        unit.frames_awaited = closed.frames_taken
        unit.miss, unit.detail = closed.miss, closed.detail
        return self._due(index)

    def expire(self, now_ns: int) -> list[DecidedUnit]:
        """Decide the units whose deadline has passed; returns those whose turn has come."""
        for index, unit in list(self._open.items()):
            if unit.deadline_ns is not None and now_ns >= unit.deadline_ns:
                self._give_up(index, MissReason.DEADLINE_MISSED, "", deadline_missed=True)
        return self._in_turn()

    def flush(self, miss: MissReason, detail: str = "") -> list[DecidedUnit]:
        """Decide every unit, because nothing more comes; `miss` is the reason if there is no other.

        Returns them in order. The book can be used further.
        """
        for index in list(self._open):
            self._give_up(index, miss, detail, deadline_missed=False)
        return self._in_turn()

    def _due(self, index: int) -> list[DecidedUnit]:
        unit = self._open[index]
        if unit.is_complete:
            self._decide(index, unit.decided())
        return self._in_turn()

    def _give_up(self, index: int, miss: MissReason, detail: str, *, deadline_missed: bool) -> None:
        unit = self._open[index]
        if unit.miss is None:
            unit.miss, unit.detail = miss, detail
        if unit.frames_expected is None:
            # Still in view: how many frames would have come is unknown, but at least one is
            # missing.
            wanted = unit.unit.under.recipe.cameras[self._camera_id].frames_of_unit
            unit.frames_expected = max(wanted, len(unit.frames) + 1)
        self._decide(index, replace(unit.decided(), deadline_missed=deadline_missed))

    def _decide(self, index: int, decided: DecidedUnit) -> None:
        unit = self._open.pop(index)
        self._decided[index] = decided
        self._remembered[index] = set(unit.frames)
        if unit.frames_awaited is not None:
            self._closed.add(index)

    def _in_turn(self) -> list[DecidedUnit]:
        due = []
        while self._given in self._decided:
            due.append(self._decided.pop(self._given))
            self._given += 1
        return due


def _name(frame: FrameResult) -> str:
    return f"frame {frame.ref.sequence} of {frame.ref.camera_id}"
