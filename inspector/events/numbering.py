"""Finds from a stream's numbers which events a reader can no longer get. Pure."""

from __future__ import annotations

from dataclasses import dataclass

EntryId = tuple[int, int]
"""Milliseconds, and a number within the millisecond."""
NOTHING_YET: EntryId = (0, 0)
"""The position of a group that reads from the start and has read nothing yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A gap in the stream's numbering between two entries."""

    expected_seq: int
    found_seq: int
    certain: bool = True
    """False: Redis does not say how far the group had read, so that fewer may be missing."""

    @property
    def missing(self) -> int:
        """How many events can no longer be read; 0 if the numbering went back."""
        return max(0, self.found_seq - self.expected_seq)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """Entries that members of the group had taken and not acknowledged, and that no longer exist.

    Their numbers are lost with them. They were acknowledged, because they would be delivered empty
    for ever.
    """

    entry_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnds:
    """A stream as Redis describes it."""

    length: int
    first_id: EntryId | None
    """None: it is empty."""
    last_generated_id: EntryId
    first_seq: int | None
    """None: the stream is empty, or its first entry is no event."""
    last_seq: int | None
    ever_added: int | None
    """None before Redis 7.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPosition:
    """How far entries were delivered to a consumer group."""

    last_delivered_id: EntryId
    entries_read: int | None
    """How many of all entries ever added; None if Redis lost count, and before Redis 7.0."""


def parse_entry_id(text: str) -> EntryId:
    """Read `<ms>-<n>`.

    Raises:
        ValueError: it is something else.

    """
    ms, _, n = text.partition("-")
    return int(ms), int(n or 0)


def entry_id_text(entry_id: EntryId) -> str:
    """As Redis writes it."""
    return f"{entry_id[0]}-{entry_id[1]}"


def trimmed_unread(stream: StreamEnds, group: GroupPosition) -> int | None:
    """How many events were trimmed before they were delivered to the group.

    None: some may have been, and Redis does not say how many.
    """
    at = group.last_delivered_id
    if at >= stream.last_generated_id or (stream.first_id is not None and at >= stream.first_id):
        return 0
    read = 0 if at == NOTHING_YET else group.entries_read
    if stream.ever_added is None or read is None:
        return None
    # Both count what lies between the group and the first entry. Entries deleted from the middle
    # make the first too large; entries by others, which have no number, make the second too large.
    counted = [stream.ever_added - stream.length - read]
    if stream.first_seq is not None and stream.last_seq is not None:
        last_delivered_seq = read + stream.last_seq - stream.ever_added
        counted.append(stream.first_seq - 1 - last_delivered_seq)
    return max(0, min(counted))
