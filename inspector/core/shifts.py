"""Finds when a shift, and a day, began: pure; times carry their offset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta

Localise = Callable[[datetime], datetime]
"""Converts a local time without an offset into one with the offset of its day."""

_DAYS = range(-2, 2)
"""Whose shifts may be running, from today on: the last of yesterday; of the day before, where a
zone skipped one; of tomorrow, where clocks set back at midnight show today once more."""


def shift_start(now: datetime, starts: Sequence[time], localise: Localise) -> datetime:
    """The latest of the daily `starts` at or before `now`, by local time.

    The offset of `now` is not used: if the clocks were changed since, the shift began under another
    one.
    """
    days = (now.date() + timedelta(days=on) for on in _DAYS)
    daily = [localise(datetime.combine(day, start)) for day in days for start in starts]
    # By time stamp: two times of one zone would be compared by their local time.
    begun = (at for at in daily if at.timestamp() <= now.timestamp())
    return max(begun, key=datetime.timestamp)


def day_start(now: datetime, localise: Localise) -> datetime:
    """Midnight, by local time."""
    return localise(datetime.combine(now.date(), time()))


def local_time(wall: datetime) -> datetime:
    """By this machine's zone; ambiguous times resolve to the first, skipped ones move on."""
    # Not `wall.astimezone()`: of a time that is skipped it makes one before the change.
    return datetime.fromtimestamp(wall.timestamp(), tz=UTC).astimezone()
