"""Locks: why nothing may be PASSED now, each until its cause is over. Pure, no clock."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import orjson

from inspector.core.plain_text import plain

LOCKS_NOTE = "locks"
"""The journal's note of the locks that stand."""
LOCKED = "locked"
"""The reason of a unit that would have been PASSED."""


class LockKind(StrEnum):
    """What keeps units from being PASSED. A closed list."""

    CHALLENGE = "challenge"
    """The station must prove with known parts that it can see."""
    PROCESS = "process"
    """The line repeats a mistake."""


ACKNOWLEDGED = frozenset({LockKind.PROCESS})
"""The kinds that a person ends. The others end with their cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """While it stands, a unit that would be PASSED is NOT_INSPECTED; FAILED stays FAILED."""

    kind: LockKind
    subject: str = ""
    """Which of that kind; empty if there is only one."""
    reason: str
    """For people, in one line."""
    since: str
    """RFC 3339 with offset."""
    is_quiet: bool = False
    """Nothing is wrong: the lock waits for something that will be known in a moment."""

    @property
    def key(self) -> tuple[LockKind, str]:
        """Its identity: at most one lock with it stands at a time."""
        return self.kind, self.subject

    @property
    def is_acknowledged(self) -> bool:
        """Whether it is ended by a person."""
        return self.kind in ACKNOWLEDGED


class LockBoard:
    """The locks that stand. Reports every change of them. Event loop only."""

    def __init__(
        self, on_change: Callable[[Lock, bool], None] = lambda _lock, _stands: None
    ) -> None:
        """`on_change` is called with a lock that was set, cleared, or got another reason."""
        self._on_change = on_change
        self._standing: dict[tuple[LockKind, str], Lock] = {}

    @property
    def standing(self) -> tuple[Lock, ...]:
        """Those that stand, the oldest first."""
        return tuple(self._standing.values())

    @property
    def first(self) -> Lock | None:
        """The oldest of them, as the one that units name; None: units may be PASSED."""
        return next(iter(self._standing.values()), None)

    def set(self, lock: Lock) -> None:
        """Set a lock: from now on nothing is PASSED. One that stands already keeps its time."""
        before = self._standing.get(lock.key)
        if before is not None and before.reason == plain(lock.reason):
            return
        kept = Lock(
            kind=lock.kind,
            subject=lock.subject,
            reason=plain(lock.reason),
            since=lock.since if before is None else before.since,
            is_quiet=lock.is_quiet,
        )
        self._standing[lock.key] = kept
        self._on_change(kept, True)

    def clear(self, kind: LockKind, subject: str = "") -> None:
        """Clear a lock because its cause is over; no effect if it does not stand."""
        lock = self._standing.pop((kind, subject), None)
        if lock is not None:
            self._on_change(lock, False)

    def to_acknowledge(self, kind: str | None) -> tuple[tuple[Lock, ...], str]:
        """The locks that a person ends, of one kind or all, or why there is none to end."""
        wanted = [lock for lock in self.standing if kind in (None, lock.kind.value)]
        found = tuple(lock for lock in wanted if lock.is_acknowledged)
        if found:
            return found, ""
        if wanted:
            return (), f"it does not end by being acknowledged: {wanted[0].reason}"
        of_kind = "" if kind is None else f" of kind {kind}"
        return (), f"there is no lock{of_kind} to acknowledge"

    def text(self, *, without: Collection[Lock] = ()) -> str:
        """The locks as text for the journal, except those in `without`."""
        kept = [asdict(lock) for lock in self.standing if lock not in without]
        return orjson.dumps(kept).decode()

    def restore(self, note: str | None, *, now: str) -> None:
        """Set the locks again that stood when the service ended.

        A note that cannot be read is a lock too, because what it said is unknown. `now` is RFC
        3339.
        """
        try:
            kept = [] if note is None else [_read(part) for part in orjson.loads(note)]
        except (ValueError, TypeError, KeyError):
            reason = "what was locked before the start cannot be read in the journal any more"
            kept = [Lock(kind=LockKind.PROCESS, subject="unknown", reason=reason, since=now)]
        for lock in kept:
            self.set(lock)


def _read(part: dict[str, Any]) -> Lock:
    return Lock(
        kind=LockKind(part["kind"]),
        subject=str(part["subject"]),
        reason=str(part["reason"]),
        since=str(part["since"]),
        is_quiet=part.get("is_quiet") is True,
    )
