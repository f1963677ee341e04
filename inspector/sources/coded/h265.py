"""Pictures of an H.265 stream: which are missing, and where decoding can begin (ITU-T H.265): pure.

Each picture names those that it needs (its reference picture set, 8.3.2), so a picture that depends
on a missing one is known at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from inspector.sources.coded.bits import (
    BitReader,
    nal_units,
    sei_messages,
    sized_unit,
    unescaped,
    whole_order,
)
from inspector.sources.coded.picture_order import Coded, Refreshes, Start

_SPS, _PPS, _END_OF_SEQUENCE, _PREFIX_SEI = 33, 34, frozenset({36, 37}), 39
_RADL_OR_RASL, _RASL, _BLA = frozenset({6, 7, 8, 9}), frozenset({8, 9}), frozenset({16, 17, 18})
_IDR, _CRA, _IRAP = frozenset({19, 20}), 21, range(16, 24)
_LAST_SLICE = 31
_NOT_REFERENCE_BELOW = 16
_RECOVERY_POINT = 6
_INTRA = 2

Deltas = tuple[tuple[int, bool], ...]
"""Pictures to keep, by their distance in the order of showing; True: needed for this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sequence:
    """What a sequence parameter set says (7.3.2.2)."""

    order_bits: int
    sets: tuple[Deltas, ...]
    colour_planes_apart: bool
    has_long_term: bool
    long_term: tuple[tuple[int, bool], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """What a picture parameter set says (7.3.2.3)."""

    sequence_id: int
    output_is_coded: bool
    extra_bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    """What the header of a picture's first slice says (7.3.6)."""

    kind: int
    layer: int
    is_intra: bool
    is_shown: bool
    order: int
    needed: frozenset[int]
    kept: frozenset[int]
    needed_lsb: frozenset[int]
    """Named by the last bits of their order only."""
    kept_lsb: frozenset[int]
    lsb_limit: int


@dataclass(slots=True)
class _Lists:
    needed: set[int] = field(default_factory=set)
    kept: set[int] = field(default_factory=set)
    needed_lsb: set[int] = field(default_factory=set)
    kept_lsb: set[int] = field(default_factory=set)


class H265Pictures:
    """A `PictureReader` for H.265, with start codes or lengths."""

    def __init__(self, extradata: bytes | None) -> None:
        """`extradata` is the description of the stream in the container or the session."""
        self._length_bytes = 0
        self._sequences: dict[int, _Sequence] = {}
        self._settings: dict[int, _Settings] = {}
        self._held: set[int] = set()
        """Pictures that a decoder still has, by order."""
        self._anchor = 0
        """Order of the last picture of the lowest layer, which all others may depend on."""
        self._sequence = 0
        self._begins = True
        self._recovery_after: int | None = None
        self._refreshes = Refreshes()
        for unit in self._from_extradata(extradata or b""):
            self._note(unit)

    def read(self, packet: bytes, *, is_key: bool) -> Coded | None:  # noqa: ARG002
        """Describe the packet's picture; None if it holds none, or one that is not shown."""
        coded: Coded | None = None
        others = 0
        for unit in nal_units(packet, self._length_bytes):
            if len(unit) < 3 or (unit[0] & 1) << 5 | unit[1] >> 3:  # noqa: PLR2004
                continue  # another layer's
            kind = unit[0] >> 1 & 63
            if kind > _LAST_SLICE:
                self._note(unit)
            elif not unit[2] & 0x80:
                others += 1
            elif coded is None:
                try:
                    picture = self._picture(kind, unit)
                except (EOFError, KeyError, IndexError):
                    return Coded(torn="the header of a picture cannot be read")
                coded = self._take(picture)
                if not picture.is_shown:
                    return None
        if coded is None and others:
            return Coded(torn="the beginning of a picture is missing")
        return coded

    def _from_extradata(self, extradata: bytes) -> Iterator[bytes]:
        """Parameter sets (ISO/IEC 14496-15, 8.3.3.1.2, or with start codes)."""
        if extradata[:1] != b"\x01" or len(extradata) < 23:  # noqa: PLR2004
            yield from nal_units(extradata, 0)
            return
        self._length_bytes = (extradata[21] & 3) + 1
        position = 23
        for _ in range(extradata[22]):
            count = int.from_bytes(extradata[position + 1 : position + 3])
            position += 3
            for _ in range(count):
                unit, position = sized_unit(extradata, position)
                if unit:
                    yield unit

    def _note(self, unit: bytes) -> None:
        kind = unit[0] >> 1 & 63
        try:
            if kind == _SPS:
                number, sequence = _sequence(BitReader(unescaped(unit[2:], None)))
                self._sequences[number] = sequence
            elif kind == _PPS:
                number, settings = _settings(BitReader(unescaped(unit[2:], None)))
                self._settings[number] = settings
            elif kind in _END_OF_SEQUENCE:
                self._begins = True
            elif kind == _PREFIX_SEI:
                self._recovery_after = _recovery(unescaped(unit[2:], None), self._recovery_after)
        except (EOFError, IndexError):
            return  # a picture that needs it says so

    def _picture(self, kind: int, unit: bytes) -> _Picture:
        bits = BitReader(unescaped(unit[2:]))
        bits.flag()
        if kind in _IRAP:
            bits.flag()
        settings = self._settings[bits.ue()]
        sequence = self._sequences[settings.sequence_id]
        bits.u(settings.extra_bits)
        slice_type = bits.ue()
        is_shown = bits.flag() if settings.output_is_coded else True
        if sequence.colour_planes_apart:
            bits.u(2)
        order, lists = 0, _Lists()
        limit = 1 << sequence.order_bits
        if kind not in _IDR:
            order = self._order(kind, bits.u(sequence.order_bits), limit)
            _read_short_term(bits, sequence, order, lists)
            if sequence.has_long_term:
                _read_long_term(bits, sequence, order, lists)
        return _Picture(
            kind=kind,
            layer=(unit[1] & 7) - 1,
            is_intra=slice_type == _INTRA,
            is_shown=is_shown,
            order=order,
            needed=frozenset(lists.needed),
            kept=frozenset(lists.kept),
            needed_lsb=frozenset(lists.needed_lsb),
            kept_lsb=frozenset(lists.kept_lsb),
            lsb_limit=limit,
        )

    def _order(self, kind: int, lsb: int, limit: int) -> int:
        """Picture order count (8.3.1)."""
        if kind in _BLA or (kind == _CRA and self._begins):
            return lsb
        return whole_order(lsb, before=self._anchor, limit=limit)

    def _take(self, picture: _Picture) -> Coded:
        if picture.kind in _IDR or picture.kind in _BLA or (picture.kind == _CRA and self._begins):
            self._held = set()
            self._sequence += 1
        gap = ""
        held_lsb = {order % picture.lsb_limit for order in self._held}
        missing = (picture.needed - self._held) | (picture.needed_lsb - held_lsb)
        if missing and picture.kind not in _IRAP:
            gap = f"picture {min(missing)} never came, which {picture.order} is drawn from"
        self._held = {
            order
            for order in self._held
            if order in picture.kept or order % picture.lsb_limit in picture.kept_lsb
        } | {picture.order}
        self._begins = False
        before = self._anchor
        is_anchor = picture.kind >= _NOT_REFERENCE_BELOW or picture.kind % 2 == 1
        if picture.layer == 0 and is_anchor and picture.kind not in _RADL_OR_RASL:
            self._anchor = picture.order
        return Coded(
            sequence=self._sequence,
            order=picture.order,
            start=self._start(picture),
            refreshed_over=self._refreshes.go_on(picture.order - before),
            alone=picture.kind in _IRAP,
            leading=picture.kind in _RASL,
            gap=gap,
            spoils=picture.kind not in _RADL_OR_RASL,
            is_numbered=True,
        )

    def _start(self, picture: _Picture) -> Start:
        recovery_after, self._recovery_after = self._recovery_after, None
        if picture.kind in _IRAP:
            self._refreshes.stop()
            return Start.CLEAN
        if recovery_after is None:
            return Start.NO
        self._refreshes.begin(recovery_after)
        return Start.GRADUAL


def _sequence(bits: BitReader) -> tuple[int, _Sequence]:
    bits.u(4)
    layers = bits.u(3)
    bits.flag()
    _skip_profile(bits, layers)
    number = bits.ue()
    planes_apart = bits.ue() == 3 and bits.flag()  # noqa: PLR2004 - 4:4:4
    bits.ue(), bits.ue()
    if bits.flag():
        for _ in range(4):
            bits.ue()
    bits.ue(), bits.ue()
    order_bits = bits.ue() + 4
    for _ in range(layers + 1 if bits.flag() else 1):
        bits.ue(), bits.ue(), bits.ue()
    for _ in range(6):
        bits.ue()
    if bits.flag() and bits.flag():
        _skip_scaling_lists(bits)
    bits.u(2)
    if bits.flag():
        bits.u(8)
        bits.ue(), bits.ue(), bits.flag()
    sets: list[Deltas] = []
    count = bits.ue()
    for index in range(count):
        sets.append(_reference_set(bits, index, count, sets))
    has_long_term = bits.flag()
    long_term = []
    for _ in range(bits.ue() if has_long_term else 0):
        long_term.append((bits.u(order_bits), bits.flag()))  # noqa: PERF401
    return number, _Sequence(
        order_bits=order_bits,
        sets=tuple(sets),
        colour_planes_apart=planes_apart,
        has_long_term=has_long_term,
        long_term=tuple(long_term),
    )


def _skip_profile(bits: BitReader, layers: int) -> None:
    """Profile, tier and level (7.3.3)."""
    bits.u(96)
    present = [(bits.flag(), bits.flag()) for _ in range(layers)]
    if layers:
        bits.u(2 * (8 - layers))
    for has_profile, has_level in present:
        bits.u(88 * has_profile + 8 * has_level)


def _skip_scaling_lists(bits: BitReader) -> None:
    """Scaling list data (7.3.4)."""
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):  # noqa: PLR2004
            if not bits.flag():
                bits.ue()
                continue
            if size > 1:
                bits.se()
            for _ in range(min(64, 1 << (4 + 2 * size))):
                bits.se()


def _reference_set(bits: BitReader, index: int, count: int, sets: list[Deltas]) -> Deltas:
    """Short-term reference picture set (7.3.7, 7.4.8)."""
    if index and bits.flag():
        return _predicted_set(bits, index, count, sets)
    negative, positive = bits.ue(), bits.ue()
    found: list[tuple[int, bool]] = []
    for total, sign in ((negative, -1), (positive, 1)):
        delta = 0
        for _ in range(total):
            delta += sign * (bits.ue() + 1)
            found.append((delta, bits.flag()))
    return tuple(found)


def _predicted_set(bits: BitReader, index: int, count: int, sets: list[Deltas]) -> Deltas:
    base = sets[index - (bits.ue() + 1 if index == count else 1)]
    sign = bits.flag()
    shift = (1 - 2 * sign) * (bits.ue() + 1)
    kept: list[tuple[int, bool]] = []
    for delta, _ in (*base, (0, False)):
        used = bits.flag()
        if used or bits.flag():
            kept.append((delta + shift, used))
    # Those before in the order of showing first, the nearest first (7-61, 7-62).
    before = sorted((entry for entry in kept if entry[0] < 0), reverse=True)
    return (*before, *sorted(entry for entry in kept if entry[0] > 0))


def _read_short_term(bits: BitReader, sequence: _Sequence, order: int, lists: _Lists) -> None:
    count = len(sequence.sets)
    if not bits.flag():
        deltas = _reference_set(bits, count, count, list(sequence.sets))
    else:
        deltas = sequence.sets[bits.u((count - 1).bit_length()) if count > 1 else 0]
    for delta, is_needed in deltas:
        lists.kept.add(order + delta)
        if is_needed:
            lists.needed.add(order + delta)


def _read_long_term(bits: BitReader, sequence: _Sequence, order: int, lists: _Lists) -> None:
    """Long-term reference pictures (7.3.6.1, 7-52)."""
    known = len(sequence.long_term)
    from_sequence = bits.ue() if known else 0
    cycles = 0
    limit = 1 << sequence.order_bits
    for index in range(from_sequence + bits.ue()):
        if index < from_sequence:
            place = bits.u((known - 1).bit_length()) if known > 1 else 0
            lsb, is_needed = sequence.long_term[place]
        else:
            lsb, is_needed = bits.u(sequence.order_bits), bits.flag()
        if index in {0, from_sequence}:
            cycles = 0
        if not bits.flag():
            lists.kept_lsb.add(lsb)
            if is_needed:
                lists.needed_lsb.add(lsb)
            continue
        cycles += bits.ue()
        whole = order - cycles * limit - order % limit + lsb
        lists.kept.add(whole)
        if is_needed:
            lists.needed.add(whole)


def _settings(bits: BitReader) -> tuple[int, _Settings]:
    number, sequence_id = bits.ue(), bits.ue()
    bits.flag()
    return number, _Settings(
        sequence_id=sequence_id, output_is_coded=bits.flag(), extra_bits=bits.u(3)
    )


def _recovery(payload: bytes, known: int | None) -> int | None:
    """After how many pictures the stream is clean, if a recovery point says so (D.2.8)."""
    for kind, message in sei_messages(payload):
        if kind == _RECOVERY_POINT:
            return BitReader(message).se()
    return known
