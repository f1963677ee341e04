"""What is wrong right now, and whether the process still makes progress: pure, no clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inspector.core.plain_text import plain

NS_PER_S = 1_000_000_000


PICTURE_REFUSED = "the picture is "
"""How the cause of the fault `optics` begins where the camera's units are not inspected for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that keeps units from being inspected or events from arriving."""

    kind: str
    """camera, triton, redis, disk, ..."""
    subject: str
    """Which one: a camera's id, or empty."""
    cause: str


def camera_clock(camera_id: str) -> str:
    """Subject of the fault `clock` for a camera's clock: no camera's id is the same."""
    return f"camera {camera_id}"


def reference_at(camera_id: str) -> str:
    """Subject of the fault `product` where a camera's units do not fit their reference."""
    return f"reference {camera_id}"


class FaultBoard:
    """The faults that stand; tells a listener about every change, and only about changes.

    A part that is expected and has not been heard of is neither good nor at fault. Event loop only.
    """

    def __init__(
        self,
        on_change: Callable[[Fault, bool], None],
        *,
        on_heard: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_heard` is called when the first thing is known of a part that was expected."""
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

    def raise_fault(self, kind: str, cause: str, subject: str = "") -> None:
        """Something broke; a fault that stands already only gets the new cause."""
        fault = Fault(kind=kind, subject=subject, cause=plain(cause))
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
    """Whether frames that came in still leave as journaled verdicts.

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
