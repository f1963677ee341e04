"""Why nothing may be PASSED now: locks, each held until what set it is over. Pure, no clock."""

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
    """The station has to show on known parts that it can see."""
    PROCESS = "process"
    """The line makes the same mistake again and again."""


ACKNOWLEDGED = frozenset({LockKind.PROCESS})
"""The kinds that a person ends. The others end when what they wait for has happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """While it stands, a unit that would be PASSED is NOT_INSPECTED; FAILED stays FAILED."""

    kind: LockKind
    subject: str = ""
    """Which of that kind; empty where there is only one."""
    reason: str
    """For people, in one line."""
    since: str
    """RFC 3339 with offset."""
    is_quiet: bool = False
    """Nothing is wrong: it is waited for what will be known in a moment."""

    @property
    def key(self) -> tuple[LockKind, str]:
        """What tells it from others: one of these stands at a time."""
        return self.kind, self.subject

    @property
    def is_acknowledged(self) -> bool:
        """Whether a person ends it."""
        return self.kind in ACKNOWLEDGED


class LockBoard:
    """The locks that stand. Reports every change of them. Event loop only."""

    def __init__(
        self, on_change: Callable[[Lock, bool], None] = lambda _lock, _stands: None
    ) -> None:
        """`on_change` gets a lock that was set, or got another reason, or was cleared."""
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
        """From now on nothing is PASSED; one that stands already keeps its time."""
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
        """What this lock waited for has happened; nothing changes where it does not stand."""
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
        """As the journal keeps them; `without` those that are about to be cleared."""
        kept = [asdict(lock) for lock in self.standing if lock not in without]
        return orjson.dumps(kept).decode()

    def restore(self, note: str | None, *, now: str) -> None:
        """Set again what stood when the service ended.

        A note that cannot be read is a lock too: nobody knows what stood there. `now` is RFC 3339.
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
