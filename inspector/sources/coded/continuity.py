"""Decides whether pictures of a stream are missing, and which can be trusted: pure.

Gaps are detected from the data itself: from the numbers in coded pictures, from packets marked as
damaged, from time stamps. Cameras and recordings follow the same rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from inspector.sources.coded.cadence import Cadence
from inspector.sources.coded.codecs import reader_of
from inspector.sources.coded.damage import FOLLOWS, Damage, Decoded, Doubt
from inspector.sources.coded.picture_order import Coded, Start

NEVER_CAME = "a picture never arrived"
NOT_DECODED = "a picture was damaged and could not be decoded"

_TIME_TOLERANCE = 0.25
_ORDER_TOLERANCE = 0.01
_LATE_PICTURES = 32
"""An intact picture comes out of the decoder after this many others at the latest."""
_EVIDENCE_PICTURES = 3
"""A loss in transit shows in the pictures that follow, up to this many later."""
_MOST_OWED = 1000
"""A larger gap is a clock that was set."""


class Stamped(Decoded, Protocol):
    """A decoded picture."""

    @property
    def opaque(self) -> object:
        """The `Ticket` of its packet."""


F = TypeVar("F", bound=Stamped)


@dataclass(slots=True, eq=False)
class Ticket:
    """A packet's picture, on its way through the decoder."""

    number: int
    coded: Coded
    cause: str
    """Why it cannot be trusted, or ""."""
    pts_ns: int | None
    arrival_ns: int
    is_given_up: bool = False
    """Its result is not shown any more."""

    @property
    def place(self) -> tuple[int, int, int]:
        """Sorts pictures in the order of showing."""
        if self.pts_ns is not None:
            return (1, self.pts_ns, 0)
        coded = self.coded
        by_order = coded.order if coded.order is not None else coded.rank
        return (0, coded.sequence or 0, self.number if by_order is None else by_order)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[F]):
    """A picture that the stream owed, in the order of showing."""

    frame: F | None
    """None if it did not come, or cannot be trusted."""
    cause: str
    """Why there is no frame."""
    pts_ns: int | None
    captured_ns: int
    came: bool = True
    """Whether something of it arrived."""


class Continuity(Generic[F]):
    """One per connection or opened file. `F` is a decoded picture."""

    def __init__(
        self,
        codec: str,
        extradata: bytes | None,
        *,
        captured_ns: Callable[[int | None, int], int],
    ) -> None:
        """`captured_ns` maps a time stamp and an arrival to the time of capture, in order."""
        self._reader = reader_of(codec, extradata)
        # Of other codecs a packet may hold no picture that is shown, or several.
        self._counts_packets = codec in {"h264", "hevc", "mpeg4", "mjpeg"}
        self._captured_ns = captured_ns
        self._doubt, self._damage, self._owed = Doubt(), Damage(), Owed()
        self._waiting: list[Ticket] = []
        self._delay = self._number = 0
        self._has_shown = False
        self._late_doubt = ""

    def sent(
        self, packet: bytes, *, is_key: bool, pts_ns: int | None, arrival_ns: int, doubt: str = ""
    ) -> Ticket | None:
        """Take a packet before it is decoded; the ticket goes through the decoder with it.

        `doubt` names what was lost in transit while it was read. None: it begins no picture.
        """
        if doubt:
            self._owed.expect()
        coded = self._reader.read(packet, is_key=is_key)
        if coded is None:
            if doubt:
                self._doubt.take(Coded(), doubt)
            return None
        self._number += 1
        # A packet of a picture that depends on no other holds it whole, or is not passed on at all.
        cause = self._doubt.take(coded, "" if coded.is_sealed else doubt)
        ticket = Ticket(self._number, coded, cause, pts_ns, arrival_ns)
        if self._counts_packets:
            self._waiting.append(ticket)
        return ticket

    def decoded(
        self, frames: Sequence[F], *, stamp_ns: Callable[[F], int | None], arrival_ns: int
    ) -> Iterator[Outcome[F]]:
        """The outcomes of pictures sent, now that these came out of the decoder."""
        for frame in frames:
            ticket = frame.opaque if isinstance(frame.opaque, Ticket) else None
            if ticket is not None:
                if ticket.is_given_up:
                    continue
                yield from self._passed_by(ticket)
            self._has_shown = True
            cause = self._cause(frame, ticket)
            yield from self._show(frame, cause, ticket, stamp_ns(frame), arrival_ns)
        if frames:
            self._delay = max(self._delay, len(self._waiting))
        yield from self._overdue()

    def refused(
        self, *, pts_ns: int | None, arrival_ns: int, cause: str = NOT_DECODED
    ) -> Iterator[Outcome[F]]:
        """The packet sent last is damaged, as the decoder says, or `cause`."""
        if not self._counts_packets or not self._waiting:
            self._damage.is_whole(None)
            yield from self._show(None, cause, None, pts_ns, arrival_ns)
            return
        newest = self._waiting[-1]
        newest.cause = newest.cause or cause
        yield from self._overdue()

    def ended(self) -> Iterator[Outcome[F]]:
        """Nothing more comes out of the decoder."""
        for ticket in sorted(self._waiting, key=_place):
            yield from self._lose(ticket)

    def _passed_by(self, ticket: Ticket) -> Iterator[Outcome[F]]:
        """Give up what should have been shown before this one."""
        if ticket in self._waiting:
            self._waiting.remove(ticket)
        early = [waiting for waiting in self._waiting if waiting.place < ticket.place]
        for lost in sorted(early, key=_place):
            yield from self._lose(lost)

    def _overdue(self) -> Iterator[Outcome[F]]:
        """Give up waiting for a picture that cannot be trusted anyway."""
        while self._has_shown and len(self._waiting) > self._delay:
            first = min(self._waiting, key=_place)
            if not first.cause and len(self._waiting) <= self._delay + _LATE_PICTURES:
                return
            yield from self._lose(first)

    def _lose(self, ticket: Ticket) -> Iterator[Outcome[F]]:
        self._waiting.remove(ticket)
        ticket.is_given_up = True
        if not ticket.cause:
            self._damage.is_whole(None, is_clean_start=ticket.coded.start is Start.CLEAN)
        cause = ticket.cause or NOT_DECODED
        yield from self._show(None, cause, ticket, ticket.pts_ns, ticket.arrival_ns)

    def _show(
        self,
        frame: F | None,
        cause: str,
        ticket: Ticket | None,
        pts_ns: int | None,
        arrival_ns: int,
    ) -> Iterator[Outcome[F]]:
        coded = ticket.coded if ticket else Coded()
        captured_ns = self._captured_ns(pts_ns, arrival_ns)
        moment = Moment(coded=coded, pts_ns=pts_ns, captured_ns=captured_ns)
        for missing in self._owed.before(moment):
            yield Outcome(
                frame=None,
                cause=NEVER_CAME,
                pts_ns=missing.pts_ns,
                captured_ns=missing.captured_ns,
                came=False,
            )
        cause = cause or self._afterwards(coded)
        yield Outcome(
            frame=None if cause else frame, cause=cause, pts_ns=pts_ns, captured_ns=captured_ns
        )

    def _cause(self, frame: F, ticket: Ticket | None) -> str:
        starts = ticket is not None and ticket.coded.start is Start.CLEAN
        is_whole = self._damage.is_whole(frame, is_clean_start=starts)
        if ticket is not None and ticket.cause:
            return ticket.cause
        if is_whole:
            return ""
        return NOT_DECODED if frame.is_corrupt else FOLLOWS

    def _afterwards(self, coded: Coded) -> str:
        """Whether a gap in the time stamps counts: without numbers it is the only evidence.

        Numbers that go back start again, with a key frame that never came.
        """
        if coded.start is Start.CLEAN:
            self._late_doubt = ""
        elif self._owed.went_back or (self._owed.has_hole and not coded.is_numbered):
            self._late_doubt = NEVER_CAME
        return "" if coded.alone else self._late_doubt


def _place(ticket: Ticket) -> tuple[int, int, int]:
    return ticket.place


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a picture is shown, or should have been."""

    coded: Coded
    pts_ns: int | None
    captured_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hole:
    """Between two pictures, before it is known whether anything belongs there."""

    count: int
    step_ns: int
    before: Moment
    after: Moment


class Owed:
    """Finds pictures missing from those shown: by their numbers, else by their times.

    Time stamps alone also show a gap when a camera takes fewer pictures from then on, as cameras do
    in low light. So the step after the gap decides: at the same rate as before, pictures are
    missing.
    """

    def __init__(self) -> None:
        self._by_order = Cadence(_ORDER_TOLERANCE)
        self._by_time = Cadence(_TIME_TOLERANCE)
        self._last: Moment | None = None
        self._hole: _Hole | None = None
        self._evidence = 0
        self._least_order: int | None = None
        self.has_hole = False
        """The time stamps leave room for pictures before the one just shown."""
        self.went_back = False
        """The picture just shown has a smaller number than the one before."""

    def expect(self) -> None:
        """Something was lost in transit: a gap that follows needs no other proof."""
        self._evidence = _EVIDENCE_PICTURES

    def before(self, now: Moment) -> Iterator[Moment]:
        """Yield the pictures that are missing before this one, the next in the order of showing."""
        last, self._last = self._last, now
        hole, self._hole = self._hole, None
        self.has_hole = self.went_back = False
        if last is None:
            return
        count_by_order = self._missing_by_order(last.coded, now.coded)
        step_ns = 0 if last.pts_ns is None or now.pts_ns is None else now.pts_ns - last.pts_ns
        count_by_time = self._missing_by_time(step_ns, now.captured_ns - last.captured_ns)
        self.has_hole = bool(count_by_time)
        if hole is not None and not _is_same_step(step_ns, hole.step_ns):
            yield from _between(hole)
        found = (count_by_time or 0) if count_by_order is None else count_by_order
        if count_by_order and count_by_time is not None:
            # Numbers wrap, and start again with a key frame that may be missing.
            found = min(count_by_order, count_by_time)
        found_hole = _Hole(count=found, step_ns=step_ns, before=last, after=now)
        is_proven = count_by_order is not None or self._evidence > 0
        self._evidence = max(0, self._evidence - 1)
        if not 0 < found_hole.count <= _MOST_OWED:
            return
        if is_proven:
            yield from _between(found_hole)
        else:
            self._hole = found_hole

    def _missing_by_order(self, last: Coded, now: Coded) -> int | None:
        if now.order is None or last.order is None:
            return None
        has_proof = bool(now.gap and not last.gap) or self._evidence > 0
        if now.sequence != last.sequence:
            # If numbering started again unseen, the first numbers are missing.
            count = now.order // (self._least_order or now.order or 1)
            return count if now.gap and not last.gap else None
        delta = now.order - last.order
        if delta <= 0:
            self.went_back = True
            return None
        missing = self._by_order.missing(delta)
        if missing is None and has_proof:
            missing = delta // self._least_order - 1 if self._least_order else int(bool(now.gap))
        self._least_order = min(self._least_order or delta, delta)
        return missing

    def _missing_by_time(self, step_ns: int, captured_step_ns: int) -> int | None:
        """Both must agree: a camera that sets its clock forward loses no pictures."""
        if step_ns <= 0:
            return None
        usual_ns = self._by_time.step
        count = self._by_time.missing(step_ns)
        if not count or not usual_ns:
            return count
        return max(0, min(count, round(captured_step_ns / usual_ns) - 1))


def _is_same_step(one_ns: int, other_ns: int) -> bool:
    return abs(one_ns - other_ns) <= _TIME_TOLERANCE * other_ns


def _between(hole: _Hole) -> Iterator[Moment]:
    before, after = hole.before, hole.after
    for number in range(1, hole.count + 1):
        share = number / (hole.count + 1)
        pts_ns = None
        if before.pts_ns is not None and after.pts_ns is not None:
            pts_ns = before.pts_ns + round(share * (after.pts_ns - before.pts_ns))
        captured_ns = before.captured_ns + round(share * (after.captured_ns - before.captured_ns))
        yield Moment(coded=Coded(), pts_ns=pts_ns, captured_ns=captured_ns)
