"""Decides whether a stream is still the one that was read: pure.

Redis gives entries growing IDs, and a reader asks for those after the last one it had. A Redis that
was replaced, emptied or restored, or a key that was deleted, makes a stream that begins again with
smaller IDs: nothing in it ever comes "after", and the entries would be missed without an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inspector.events.numbering import NOTHING_YET, EntryId, entry_id_text, parse_entry_id


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamExtent:
    """The first and last entries of a stream now."""

    last: EntryId = NOTHING_YET
    """The ID of the last entry ever added, even if it was deleted."""
    first: EntryId | None = None
    """The oldest entry in the stream; None: it is empty."""
    deleted: EntryId | None = None
    """The largest entry that was deleted; None: this Redis does not say (before 7.0)."""


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
    """An entry that was read, and its content: the same stream has it or lost it."""

    entry_id: EntryId
    identity: str | None
    """None if its content could not be read."""


def should_be_there(extent: StreamExtent, mark: LastRead) -> bool:
    """Whether a mark that is not in the stream shows that it is another stream.

    It does not if the entries before it are gone too (it was trimmed), or if an entry as late as it
    was deleted.
    """
    if extent.first is None or extent.first > mark.entry_id:
        return False
    return extent.deleted is None or extent.deleted < mark.entry_id


def why_another(extent: StreamExtent, read_through: EntryId, what: str) -> str:
    """Why the stream is not the one that was read up to there; empty if it may be."""
    if extent.last >= read_through:
        return ""
    ends = (
        f"ends at {entry_id_text(extent.last)}" if extent.last > NOTHING_YET else "is gone or new"
    )
    return f"the stream of {what} {ends}, and was read up to {entry_id_text(read_through)} before"


def _text(value: object) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
