"""Decides what the end of a stream in a sink means: pure, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from inspector.core.entries import StreamId, Tip


class Standing(Enum):
    """How a sink's stream compares with what the journal delivered to it."""

    LEVEL = "level"
    BEHIND = "behind"
    """It lacks events that it had: it came back empty, or from an older copy."""
    AHEAD = "ahead"
    """It has an entry whose delivery was never confirmed, or somebody else's."""


def standing(tip_id: StreamId, delivered_id: StreamId) -> Standing:
    """Compare a stream's last ID with the last one known to be delivered."""
    if tip_id == delivered_id:
        return Standing.LEVEL
    return Standing.BEHIND if tip_id < delivered_id else Standing.AHEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Renumbering:
    """How undelivered events are renumbered to follow a stream's present end."""

    seq_shift: int
    new_ids_after: StreamId | None
    """The k-th event gets this ID with k added to `n`; None keeps the IDs."""


def renumbering(
    tip: Tip, *, first_seq: int, first_id: StreamId | None, entries: int
) -> Renumbering:
    """Decide how `entries` undelivered events follow `tip`, keeping order and gapless `seq`.

    `first_seq` is the number of the first of them (or of the next event), `first_id` its entry ID,
    None if there are none.

    Raises:
        StreamFullError: nothing can follow the tip.

    """
    # A seq this large was typed by a person; following it would only spread the damage.
    plausible = tip.seq is not None and 0 < tip.seq < 2**53
    shift = max(0, tip.seq + 1 - first_seq) if plausible and tip.seq is not None else 0
    if first_id is None or first_id > tip.last_id:
        return Renumbering(seq_shift=shift, new_ids_after=None)
    return Renumbering(seq_shift=shift, new_ids_after=tip.last_id.room_for(entries))
