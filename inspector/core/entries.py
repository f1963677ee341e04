"""Entries of a stream as the journal issues them, with final number, ID and text. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from inspector.core.records import Stream

LARGEST = 2**63 - 1
"""SQLite's largest integer. Redis counts to 2**64 - 1, which no clock of ours reaches."""


class StreamFullError(ValueError):
    """No entry can follow this ID: an entry from the far future was written."""


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
        """An ID, not smaller than this one, after which `entries` more fit by counting `n` up.

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
    """The end of a stream in a sink."""

    last_id: StreamId
    """ID of the last entry ever added, even if it was deleted or trimmed since."""
    event_id: str | None = None
    """Event id of the entry with `last_id`; None if that entry is gone or not an event."""
    seq: int | None = None
    """`seq` of the last entry; None if there is none or it is not an event."""


NO_STREAM = Tip(last_id=NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """An event as journaled: its body never changes again."""

    row: int
    """Counts events over all streams, in the order in which they were appended."""
    stream: Stream
    seq: int
    entry_id: StreamId
    event_id: str
    schema: str
    time: str
    unit_id: str
    result: str
    body: bytes
    """The JSON event without `seq` and `published_at`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamGrowth:
    """What entered a stream in a certain time."""

    entries: int
    span_s: float
    """The time, in seconds."""
    json_bytes: float
    """Size of one event, on average."""
    held: int
    """How many entries the sink holds now."""
