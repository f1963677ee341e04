"""Standing faults, and whether the process still makes progress: pure, no clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from inspector.core.plain_text import plain

NS_PER_S = 1_000_000_000


PICTURE_REFUSED = "the picture is "
"""Beginning of the cause of the fault `optics` while it keeps units from being inspected."""


PICTURES_CHANGE = "the pictures change: "
"""Its beginning while units are still inspected, although pictures are not as usual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultUnit:
    """The unit that a fault was noticed at, and where on it."""

    id: str
    event_id: str
    """The `id` of its event."""
    number: int
    code: str | None = None
    bbox_px: tuple[float, float, float, float] | None = None
    """x, y, width and height in the pixels of its picture; None: no place on it."""
    picture_uri: str = ""
    """URI of its evidence; empty if no picture was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that keeps units from being inspected or events from arriving."""

    kind: str
    """camera, triton, redis, disk, ..."""
    subject: str
    """Which part: a camera's id, or empty."""
    cause: str
    unit: FaultUnit | None = None
    """None if it is not about a unit."""


def camera_clock(camera_id: str) -> str:
    """Subject of the fault `clock` for a camera's clock: no camera's id is the same."""
    return f"camera {camera_id}"


def reference_at(camera_id: str) -> str:
    """Subject of the fault `product` where a camera's units do not fit their reference."""
    return f"reference {camera_id}"


class ProcessRule(StrEnum):
    """Rules on consecutive verdicts that raise the fault `process`. A closed list."""

    SAME_PLACE = "same_place"
    """The same defect at the same place of consecutive units."""
    FAILED = "failed"
    """Consecutive units FAILED."""
    NOT_INSPECTED = "not_inspected"
    """Consecutive units were unintentionally not inspected."""
    SHARE = "share"
    """Too many of the last units FAILED."""


def process_at(camera_id: str, rule: ProcessRule) -> str:
    """Subject of the fault `process` where a rule of the process holds for a camera's units."""
    return f"{rule} {camera_id}"


class FaultBoard:
    """The faults that stand; reports every change to a listener, and only changes.

    A part that is expected and has not been heard of is neither good nor at fault. Event loop only.
    """

    def __init__(
        self,
        on_change: Callable[[Fault, bool], None],
        *,
        on_heard: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_heard` is called when the state of an expected part becomes known."""
        self._on_change = on_change
        self._on_heard = on_heard
        self._standing: dict[tuple[str, str], Fault] = {}
        self._awaited: dict[tuple[str, str], None] = {}

    @property
    def standing(self) -> list[Fault]:
        """What is wrong now, oldest first."""
        return list(self._standing.values())

    @property
    def awaited(self) -> list[tuple[str, str]]:
        """Kind and subject of the parts that were expected and have not been heard of."""
        return list(self._awaited)

    def expect(self, kind: str, subject: str = "") -> None:
        """Nothing is known of this part until a fault of it is raised or cleared."""
        self._awaited[kind, subject] = None

    def raise_fault(
        self, kind: str, cause: str, subject: str = "", *, unit: FaultUnit | None = None
    ) -> None:
        """Raise a fault; one that stands already only gets the new cause."""
        known = self._standing.get((kind, subject))
        if unit is None and known is not None:
            unit = known.unit
        fault = Fault(kind=kind, subject=subject, cause=plain(cause), unit=unit)
        is_new = (kind, subject) not in self._standing
        self._standing[kind, subject] = fault
        if is_new:
            self._on_change(fault, True)
        self._hear(kind, subject)

    def clear(self, kind: str, subject: str = "") -> None:
        """It works, again or for the first time."""
        fault = self._standing.pop((kind, subject), None)
        if fault is not None:
            self._on_change(fault, False)
        self._hear(kind, subject)

    def _hear(self, kind: str, subject: str) -> None:
        if (kind, subject) in self._awaited:
            del self._awaited[kind, subject]
            self._on_heard()


class Progress:
    """Watches whether captured frames still lead to journaled verdicts.

    A line that stands still is idle, not stalled: only frames that are owed a verdict count.
    """

    def __init__(self, *, stalled_after_s: float, now_ns: int) -> None:
        self._stalled_after_ns = round(stalled_after_s * NS_PER_S)
        self._settled = 0
        self._moved_ns = now_ns

    def is_stalled(self, *, captured: int, settled: int, now_ns: int) -> bool:
        """Judge from running totals; call it every second or so."""
        if settled != self._settled or captured <= settled:
            self._settled = settled
            self._moved_ns = now_ns
        return now_ns - self._moved_ns > self._stalled_after_ns
