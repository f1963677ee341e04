"""Whether a stream is still the one that was read: pure.

Redis gives entries growing IDs, and a reader asks for what comes after the last one it had. A Redis
that was replaced, emptied or set back, or a key that was deleted, makes a stream that begins again
with smaller IDs: nothing in it ever comes "after", and the entries vanish without an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inspector.events.numbering import NOTHING_YET, EntryId, entry_id_text, parse_entry_id


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamExtent:
    """From where to where a stream reaches now."""

    last: EntryId = NOTHING_YET
    """Of the last entry ever added, whether or not it is still there."""
    first: EntryId | None = None
    """The oldest entry that is there; None: it is empty."""
    deleted: EntryId | None = None
    """The largest entry that somebody deleted; None: this Redis does not say (before 7.0)."""


def read_extent(reply: Mapping[str, Any]) -> StreamExtent:
    """Read XINFO STREAM's reply."""
    first, deleted = reply.get("first-entry"), reply.get("max-deleted-entry-id")
    return StreamExtent(
        last=parse_entry_id(_text(reply["last-generated-id"])),
        first=parse_entry_id(_text(first[0])) if first else None,
        deleted=parse_entry_id(_text(deleted)) if deleted is not None else None,
    )


@dataclass(frozen=True, slots=True)
class LastRead:
    """An entry that was read, and what it said: the same stream has it or lost it."""

    entry_id: EntryId
    identity: str | None
    """None where what it said could not be read."""


def should_be_there(extent: StreamExtent, mark: LastRead) -> bool:
    """Whether a mark that is not in the stream shows that it is another stream.

    Not where the entries before it are gone too: it was trimmed. Not where one so late was deleted.
    """
    if extent.first is None or extent.first > mark.entry_id:
        return False
    return extent.deleted is None or extent.deleted < mark.entry_id


def why_another(extent: StreamExtent, read_through: EntryId, what: str) -> str:
    """Why the stream is not the one that was read up to there; empty where it may be."""
    if extent.last >= read_through:
        return ""
    ends = (
        f"ends at {entry_id_text(extent.last)}" if extent.last > NOTHING_YET else "is gone or new"
    )
    return f"the stream of {what} {ends}, and was read up to {entry_id_text(read_through)} before"


def _text(value: object) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
