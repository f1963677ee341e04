"""Measures how much time has really passed, whatever the wall clock shows: pure, no clock.

Ages for deletion are in *station time*: milliseconds that have certainly passed since the journal
was made. Within a boot the machine's monotonic clock counts them, including suspended time, through
restarts of the service and however often the wall clock is set. For the time in which the machine
was off there is only the wall clock, so that time counts only if the clock was synchronised with a
time server before and after.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

MS_PER_S = 1000
MINUTE_MS = 60 * MS_PER_S
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

TOLERANCE_MS = 10 * MINUTE_MS
"""A wall clock that is off by more than this was set, or has stopped."""
LONGEST_REST_MS = 4 * DAY_MS
"""For longer than a long weekend, a wrong clock is more probable than a machine that was off."""
TAKEN_AS_IT_IS_AFTER_MS = DAY_MS
"""After this long without another step, a clock without a time server is accepted as it is."""
SETTLED_AFTER_MS = HOUR_MS
"""How long the clock must have been synchronised before the time while off counts."""
LONGEST_OFF_MS = 366 * DAY_MS
"""A larger step cannot be true: it comes from a receiver whose week counter overflowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The machine's clocks at one moment."""

    boot_id: str
    """Different after every boot; within a boot `boot_ms` only grows."""
    boot_ms: int
    """Time since the boot, including suspended time."""
    unix_ms: int
    """The wall clock."""
    is_synchronised: bool
    """Whether the wall clock is synchronised with a time server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A reading of both clocks at one moment."""

    station_ms: int
    unix_ms: int

    def wall_ahead_ms(self, later: Moment) -> int:
        """By how much more the wall clock advanced until `later` than time passed."""
        return (later.unix_ms - self.unix_ms) - (later.station_ms - self.station_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A station's knowledge about time; the journal keeps it."""

    boot_id: str
    boot_ms: int
    station_ms: int
    """Station time at `boot_ms` of that boot."""
    believed: Moment
    """When the wall clock was last assumed to be right."""
    vouched: Moment | None = None
    """When it was last certainly right: it had been synchronised for a while."""
    vouched_since_ms: int | None = None
    """Station time since when it is synchronised; None while it is not."""
    off_by_ms: int = 0
    """The error of the wall clock; 0 while it is believed."""
    off_since_ms: int = 0
    """Station time since when it is off by just that much."""

    def station_ms_at(self, now: Reading) -> int:
        """Station time now. It never goes back."""
        if now.boot_id != self.boot_id or now.boot_ms < self.boot_ms:
            return self.station_ms
        return self.station_ms + now.boot_ms - self.boot_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Older:
    """Events up to a station time are older by this much: the machine was off."""

    through_ms: int
    by_ms: int


def first_known(now: Reading, *, station_ms: int = 0) -> Known:
    """The knowledge of a new station."""
    return Known(
        boot_id=now.boot_id,
        boot_ms=now.boot_ms,
        station_ms=station_ms,
        believed=Moment(station_ms=station_ms, unix_ms=now.unix_ms),
    )


def tick(known: Known, now: Reading) -> tuple[Known, Older | None]:
    """Let time pass until `now`; the second value says which events turned out to be older."""
    station_ms = known.station_ms_at(now)
    here = Moment(station_ms=station_ms, unix_ms=now.unix_ms)
    off_by_ms = known.believed.wall_ahead_ms(here)
    was_off = now.boot_id != known.boot_id or now.boot_ms < known.boot_ms
    known = replace(known, boot_id=now.boot_id, boot_ms=now.boot_ms, station_ms=station_ms)
    if now.is_synchronised:
        return _vouched_for(known, here, is_step=was_off or abs(off_by_ms) > TOLERANCE_MS)
    known = replace(known, vouched_since_ms=None)
    if abs(off_by_ms) <= TOLERANCE_MS or (was_off and 0 <= off_by_ms <= LONGEST_REST_MS):
        return replace(known, believed=here, off_by_ms=0), None
    if known.off_by_ms == 0 or abs(off_by_ms - known.off_by_ms) > TOLERANCE_MS:
        return replace(known, off_by_ms=off_by_ms, off_since_ms=station_ms), None
    if station_ms - known.off_since_ms >= TAKEN_AS_IT_IS_AFTER_MS:
        return replace(known, believed=here, off_by_ms=0), None
    return known, None


def _vouched_for(known: Known, here: Moment, *, is_step: bool) -> tuple[Known, Older | None]:
    since_ms = known.vouched_since_ms
    if since_ms is None or is_step:
        since_ms = here.station_ms
    known = replace(known, believed=here, off_by_ms=0, vouched_since_ms=since_ms)
    if here.station_ms - since_ms < SETTLED_AFTER_MS:
        return known, None
    older = None
    if known.vouched is not None:
        off_ms = known.vouched.wall_ahead_ms(here)
        if MINUTE_MS < off_ms <= LONGEST_OFF_MS:
            # When it was off is not known, only that it was after `vouched`: later events may have
            # come after it, and keep the youngest possible age.
            older = Older(through_ms=known.vouched.station_ms, by_ms=off_ms)
    return replace(known, vouched=here), older


def trouble(known: Known) -> str | None:
    """The problem of the wall clock, for people; None while it is believed."""
    if known.off_by_ms == 0:
        return None
    direction = "ahead of" if known.off_by_ms > 0 else "behind"
    return (
        f"the clock is {span(known.off_by_ms)} {direction} the time that has passed since it was"
        " last right; nothing is deleted because of that"
    )


def span(ms: int) -> str:
    """A span of time in its largest unit that fits, without its sign."""
    for unit_ms, unit in ((DAY_MS, "days"), (HOUR_MS, "hours"), (MINUTE_MS, "minutes")):
        if abs(ms) >= unit_ms:
            return f"{abs(ms) / unit_ms:.1f} {unit}"
    return f"{abs(ms) / MS_PER_S:.1f} seconds"
