"""IDs of stream entries, and what to make of a stream's end: pure, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

LARGEST = 2**63 - 1
"""SQLite's largest integer. Redis counts to 2**64 - 1, which no clock of ours reaches."""


class StreamFullError(ValueError):
    """No entry can follow this ID: somebody wrote one from the far future."""


@dataclass(frozen=True, slots=True, order=True)
class StreamId:
    """`<ms>-<n>`: milliseconds since the epoch, and a number within the millisecond."""

    ms: int
    n: int

    def __str__(self) -> str:
        return f"{self.ms}-{self.n}"

    @classmethod
    def parse(cls, text: str) -> StreamId:
        """Read `<ms>-<n>`.

        Raises:
            ValueError: it is something else.

        """
        ms, _, n = text.partition("-")
        return cls(int(ms), int(n))

    def next(self, now_ms: int) -> StreamId:
        """The ID of the entry after this one, made at `now_ms`.

        Always larger than this one, also when the clock stands still or goes back.

        Raises:
            StreamFullError: this ID is too large for anything to follow.

        """
        if now_ms > self.ms:
            return StreamId(now_ms, 0)
        if self.n < LARGEST:
            return StreamId(self.ms, self.n + 1)
        if self.ms < LARGEST:
            return StreamId(self.ms + 1, 0)
        raise StreamFullError(f"no stream entry can follow {self}")

    def following(self) -> StreamId:
        """The smallest ID that is larger than this one."""
        return StreamId(self.ms, self.n + 1)

    def room_for(self, entries: int) -> StreamId:
        """An ID from here on, after which `entries` more fit by counting `n` up.

        Raises:
            StreamFullError: this ID is too large for anything to follow.

        """
        if self.ms > LARGEST - 1:
            raise StreamFullError(f"no stream entry can follow {self}")
        if self.n <= LARGEST - entries:
            return self
        return StreamId(self.ms + 1, 0)


NOTHING = StreamId(0, 0)
"""The end of a stream that never had an entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """How a stream in Redis ends."""

    last_id: StreamId
    """Of the last entry ever added, even where it was deleted or trimmed since."""
    event_id: str | None = None
    """Of the entry with `last_id`; None where that entry is gone or not an event."""
    seq: int | None = None
    """Of the last entry; None where there is none or it is not an event."""


NO_STREAM = Tip(last_id=NOTHING)


class Standing(Enum):
    """How Redis's stream compares with what the journal delivered."""

    LEVEL = "level"
    BEHIND = "behind"
    """It lacks events it had: it came back empty, or from an older copy."""
    AHEAD = "ahead"
    """It has an entry whose delivery was never confirmed, or somebody else's."""


def standing(tip_id: StreamId, delivered_id: StreamId) -> Standing:
    """Compare a stream's last ID with the last one known to be delivered."""
    if tip_id == delivered_id:
        return Standing.LEVEL
    return Standing.BEHIND if tip_id < delivered_id else Standing.AHEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Renumbering:
    """How undelivered events move so that they can follow a stream's present end."""

    seq_shift: int
    new_ids_after: StreamId | None
    """The k-th event gets this ID with k added to `n`; None keeps the IDs."""


def renumbering(
    tip: Tip, *, first_seq: int, first_id: StreamId | None, entries: int
) -> Renumbering:
    """Decide how `entries` undelivered events follow `tip`, keeping order and gapless `seq`.

    `first_seq` is the number the first of them has (or the next event will get), `first_id`
    its entry ID, None when there are none.

    Raises:
        StreamFullError: nothing can follow the tip.

    """
    # A seq as large as this was typed by somebody; following it would only spread the harm.
    plausible = tip.seq is not None and 0 < tip.seq < 2**53
    shift = max(0, tip.seq + 1 - first_seq) if plausible and tip.seq is not None else 0
    if first_id is None or first_id > tip.last_id:
        return Renumbering(seq_shift=shift, new_ids_after=None)
    return Renumbering(seq_shift=shift, new_ids_after=tip.last_id.room_for(entries))
