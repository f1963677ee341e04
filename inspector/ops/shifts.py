"""When a shift, and a day, began: pure; times carry their offset."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta


def shift_start(now: datetime, starts: Sequence[time]) -> datetime:
    """The latest of the daily `starts` at or before `now`, in the zone of `now`."""
    today = [now.replace(hour=t.hour, minute=t.minute, second=0, microsecond=0) for t in starts]
    begun = [at for at in today if at <= now]
    # Before the first start of today the last shift of yesterday is still running.
    return max(begun) if begun else max(today) - timedelta(days=1)


def day_start(now: datetime) -> datetime:
    """Midnight, in the zone of `now`."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0)
