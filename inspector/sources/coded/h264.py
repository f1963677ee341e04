"""Pictures of an H.264 stream: which are missing, and where decoding can begin (ITU-T H.264): pure.

Only headers are read: `frame_num` counts reference pictures (7.4.3), the picture order count gives
the order of showing (8.2.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from inspector.sources.coded.bits import (
    BitReader,
    nal_units,
    sei_messages,
    sized_unit,
    unescaped,
    whole_order,
)
from inspector.sources.coded.picture_order import Coded, Refreshes, Start

_HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 144, 244})
_SHORTEST_AVCC = 6
"""Bytes of a configuration record before its first parameter set."""
_SLICES, _IDR, _SEI, _SPS, _PPS = frozenset({1, 2, 5}), 5, 6, 7, 8
_RECOVERY_POINT = 6
_P, _B, _SP, _INTRA = 0, 1, 3, frozenset({2, 4})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sequence:
    """What a sequence parameter set says (7.3.2.1.1)."""

    frame_num_bits: int
    order_type: int
    order_bits: int
    deltas_are_zero: bool
    gaps_are_allowed: bool
    frames_only: bool
    colour_planes_apart: bool
    has_chroma: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """What a picture parameter set says (7.3.2.2)."""

    sequence_id: int
    field_order_is_coded: bool
    references: tuple[int, int]
    weighs_p: bool
    weighs_b: bool
    redundant_slices: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slice:
    """What the header of a slice says about its picture (7.3.3)."""

    sequence: _Sequence
    is_idr: bool
    is_reference: bool
    first_block: int
    is_intra: bool
    frame_num: int
    is_field: bool
    is_bottom: bool
    order_lsb: int
    order_delta_bottom: int
    resets: bool
    """Memory management operation 5: numbering starts again after it."""

    def is_same_picture(self, other: _Slice) -> bool:
        """Whether both are of one picture (7.4.1.2.4)."""
        return (
            (self.is_idr, self.is_reference, self.frame_num)
            == (other.is_idr, other.is_reference, other.frame_num)
            and (self.is_field, self.is_bottom) == (other.is_field, other.is_bottom)
            and self.order_lsb == other.order_lsb
        )


class H264Pictures:
    """A `PictureReader` for H.264, with start codes or lengths, in frames or fields."""

    def __init__(self, extradata: bytes | None) -> None:
        """`extradata` is the description of the stream in the container or the session."""
        self._length_bytes = 0
        self._sequences: dict[int, _Sequence] = {}
        self._settings: dict[int, _Settings] = {}
        self._recovery_after: int | None = None
        self._refreshes = Refreshes()
        self._key_order: int | None = None
        self._numbers = _Numbers()
        self._first_field: _Slice | None = None
        self._late_gap = ""
        for unit in self._from_extradata(extradata or b""):
            self._note(unit)

    def read(self, packet: bytes, *, is_key: bool) -> Coded | None:  # noqa: ARG002
        """Describe the packet's picture; None if it begins none."""
        slices: list[_Slice] = []
        is_unknown = False
        for unit in nal_units(packet, self._length_bytes):
            if unit[0] & 31 not in _SLICES:
                self._note(unit)
                continue
            try:
                found = self._slice(unit)
            except (EOFError, KeyError):
                is_unknown = True
                continue
            if found is not None:
                slices.append(found)
        told = [coded for p in _pictures(slices) if (coded := self._picture(p)) is not None]
        if is_unknown and not slices:
            return Coded(torn="the header of a picture cannot be read")
        return told[0] if told else None

    def _from_extradata(self, extradata: bytes) -> Iterator[bytes]:
        """Parameter sets (ISO/IEC 14496-15, 5.3.3.1.2, or with start codes)."""
        if extradata[:1] != b"\x01" or len(extradata) < _SHORTEST_AVCC:
            yield from nal_units(extradata, 0)
            return
        self._length_bytes = (extradata[4] & 3) + 1
        position = 5
        for mask in (31, 255):
            count = int.from_bytes(extradata[position : position + 1]) & mask
            position += 1
            for _ in range(count):
                unit, position = sized_unit(extradata, position)
                if unit:
                    yield unit

    def _note(self, unit: bytes) -> None:
        kind = unit[0] & 31
        try:
            if kind == _SPS:
                number, sequence = _sequence(BitReader(unescaped(unit[1:], None)))
                self._sequences[number] = sequence
            elif kind == _PPS:
                number, settings = _settings(BitReader(unescaped(unit[1:], None)))
                self._settings[number] = settings
            elif kind == _SEI:
                self._recovery_after = _recovery(unescaped(unit[1:], None), self._recovery_after)
        except EOFError:
            return  # a slice that needs it says so

    def _slice(self, unit: bytes) -> _Slice | None:
        """None: a copy of one that came."""
        bits = BitReader(unescaped(unit[1:]))
        kind, is_reference = unit[0] & 31, bool(unit[0] & 0x60)
        first_block, slice_type = bits.ue(), bits.ue() % 5
        settings = self._settings[bits.ue()]
        sequence = self._sequences[settings.sequence_id]
        if sequence.colour_planes_apart:
            bits.u(2)
        frame_num = bits.u(sequence.frame_num_bits)
        is_field = not sequence.frames_only and bits.flag()
        is_bottom = is_field and bits.flag()
        if kind == _IDR:
            bits.ue()
        lsb, delta_bottom = _order(
            bits, sequence, codes_bottom=settings.field_order_is_coded and not is_field
        )
        if settings.redundant_slices and bits.ue():
            return None
        resets = False
        if is_reference and kind != _IDR:
            with suppress(EOFError):
                resets = _resets(bits, sequence, settings, slice_type)
        return _Slice(
            sequence=sequence,
            is_idr=kind == _IDR,
            is_reference=is_reference,
            first_block=first_block,
            is_intra=slice_type in _INTRA,
            frame_num=frame_num,
            is_field=is_field,
            is_bottom=is_bottom,
            order_lsb=lsb,
            order_delta_bottom=delta_bottom,
            resets=resets,
        )

    def _picture(self, slices: list[_Slice]) -> Coded | None:
        """Describe one picture, or note the second field of one that was described."""
        head = slices[0]
        gap = self._late_gap or self._numbers.gap_before(head)
        is_whole = any(part.first_block == 0 for part in slices)
        torn = "" if is_whole else "the beginning of a picture is missing"
        first, self._first_field = self._first_field, None
        if first is not None and _is_pair(first, head):
            self._late_gap = gap or torn
            self._numbers.take(head)
            return None
        if first is not None:
            gap = gap or "a field is missing"
        self._late_gap = ""
        self._first_field = head if head.is_field else None
        steps = self._numbers.steps_to(head)
        order = self._numbers.take(head)
        is_intra = all(part.is_intra for part in slices)
        start = self._start(head, is_intra=is_intra, order=order)
        leading = self._key_order is not None and order is not None and order < self._key_order
        return Coded(
            sequence=self._numbers.sequence,
            order=order,
            start=start,
            refreshed_over=self._refreshes.go_on(steps),
            alone=is_intra and not head.is_field,
            leading=leading,
            gap=gap,
            torn=torn,
            is_numbered=not head.sequence.gaps_are_allowed,
        )

    def _start(self, head: _Slice, *, is_intra: bool, order: int | None) -> Start:
        recovery_after, self._recovery_after = self._recovery_after, None
        if head.is_idr:
            self._refreshes.stop()
            self._key_order = None
            return Start.CLEAN
        if recovery_after is None:
            return Start.NO
        if recovery_after:
            self._refreshes.begin(recovery_after)
            return Start.GRADUAL
        # An immediate recovery point that depends on others is an encoder's mistake.
        if not is_intra:
            return Start.NO
        self._refreshes.stop()
        self._key_order = order
        return Start.CLEAN


class _Numbers:
    """Follows `frame_num` and the picture order count through a stream."""

    def __init__(self) -> None:
        self.sequence = 0
        self._reference: int | None = None
        """`frame_num` of the last reference picture."""
        self._previous = 0
        self._cycles = 0
        self._order = 0
        self._counts_all = True

    def gap_before(self, head: _Slice) -> str:
        """Name what is missing, by `frame_num` (7.4.3)."""
        reference = self._reference
        if reference is None or head.is_idr or head.sequence.gaps_are_allowed:
            return ""
        following = (reference + 1) % (1 << head.sequence.frame_num_bits)
        # Only pictures that are no reference, and second fields, may have the same number.
        is_same = head.frame_num == reference and (head.is_field or not head.is_reference)
        if is_same or head.frame_num == following:
            return ""
        return f"frame_num {head.frame_num} came after {reference}"

    def steps_to(self, head: _Slice) -> int:
        """By how much `frame_num` grows to this picture."""
        return (head.frame_num - self._previous) % (1 << head.sequence.frame_num_bits)

    def take(self, head: _Slice) -> int | None:
        """Go on to this picture; returns its place in the order of showing, if that is known."""
        limit = 1 << head.sequence.frame_num_bits
        if head.is_idr:
            self.sequence += 1
            self._cycles = self._previous = self._order = 0
        elif self._previous > head.frame_num:
            if self.gap_before(head):
                # Either nearly a whole cycle is missing, or a key frame: numbers start again.
                self.sequence += 1
                self._cycles = self._order = 0
            else:
                self._cycles += 1
        self._counts_all = self._counts_all and head.is_reference
        order = None
        if head.sequence.order_type == 0:
            order = self._coded_order(head)
        elif head.sequence.order_type == 2 and self._counts_all:  # noqa: PLR2004
            order = 2 * (self._cycles * limit + head.frame_num)
        self._previous = head.frame_num
        self._reference = head.frame_num if head.is_reference else (head.frame_num - 1) % limit
        if head.resets:
            self.sequence += 1
            self._reference = self._previous = self._cycles = 0
            self._order = 0
        return order

    def _coded_order(self, head: _Slice) -> int:
        """Picture order count of type 0 (8.2.1.1)."""
        limit = 1 << head.sequence.order_bits
        order = whole_order(head.order_lsb, before=self._order, limit=limit)
        if head.is_reference:
            self._order = order
        return order + min(0, head.order_delta_bottom)


def _pictures(slices: list[_Slice]) -> Iterator[list[_Slice]]:
    """Slices of one picture together: a packet may hold both fields of a frame."""
    picture: list[_Slice] = []
    for part in slices:
        if picture and not part.is_same_picture(picture[0]):
            yield picture
            picture = []
        picture.append(part)
    if picture:
        yield picture


def _is_pair(first: _Slice, second: _Slice) -> bool:
    return (
        second.is_field
        and second.is_bottom != first.is_bottom
        and second.frame_num == first.frame_num
        and (first.is_idr or not second.is_idr)
    )


def _sequence(bits: BitReader) -> tuple[int, _Sequence]:
    profile = bits.u(8)
    bits.u(16)
    number, chroma, planes_apart = bits.ue(), 1, False
    if profile in _HIGH_PROFILES:
        chroma = bits.ue()
        planes_apart = chroma == 3 and bits.flag()  # noqa: PLR2004 - 4:4:4
        bits.ue(), bits.ue(), bits.flag()
        if bits.flag():
            for index in range(12 if chroma == 3 else 8):  # noqa: PLR2004
                if bits.flag():
                    _skip_scaling_list(bits, 16 if index < 6 else 64)  # noqa: PLR2004
    frame_num_bits, order_type = bits.ue() + 4, bits.ue()
    order_bits, deltas_are_zero = 0, False
    if order_type == 0:
        order_bits = bits.ue() + 4
    elif order_type == 1:
        deltas_are_zero = bits.flag()
        bits.se(), bits.se()
        for _ in range(bits.ue()):
            bits.se()
    bits.ue()
    gaps_are_allowed = bits.flag()
    bits.ue(), bits.ue()
    return number, _Sequence(
        frame_num_bits=frame_num_bits,
        order_type=order_type,
        order_bits=order_bits,
        deltas_are_zero=deltas_are_zero,
        gaps_are_allowed=gaps_are_allowed,
        frames_only=bits.flag(),
        colour_planes_apart=planes_apart,
        has_chroma=chroma != 0 and not planes_apart,
    )


def _skip_scaling_list(bits: BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


def _settings(bits: BitReader) -> tuple[int, _Settings]:
    number, sequence_id = bits.ue(), bits.ue()
    bits.flag()
    field_order_is_coded = bits.flag()
    groups = bits.ue() + 1
    if groups > 1:
        _skip_slice_groups(bits, groups)
    references = (bits.ue() + 1, bits.ue() + 1)
    weighs_p, weighs_b = bits.flag(), bits.u(2) == 1
    bits.se(), bits.se(), bits.se()
    bits.u(2)
    return number, _Settings(
        sequence_id=sequence_id,
        field_order_is_coded=field_order_is_coded,
        references=references,
        weighs_p=weighs_p,
        weighs_b=weighs_b,
        redundant_slices=bits.flag(),
    )


def _skip_slice_groups(bits: BitReader, groups: int) -> None:
    match bits.ue():
        case 0:
            for _ in range(groups):
                bits.ue()
        case 2:
            for _ in range(groups - 1):
                bits.ue(), bits.ue()
        case 3 | 4 | 5:
            bits.flag(), bits.ue()
        case 6:
            size = (groups - 1).bit_length()
            for _ in range(bits.ue() + 1):
                bits.u(size)


def _recovery(payload: bytes, known: int | None) -> int | None:
    """After how many pictures the stream is clean, if a recovery point says so (D.2.8)."""
    for kind, message in sei_messages(payload):
        if kind == _RECOVERY_POINT:
            return BitReader(message).ue()
    return known


def _order(bits: BitReader, sequence: _Sequence, *, codes_bottom: bool) -> tuple[int, int]:
    lsb = delta_bottom = 0
    if sequence.order_type == 0:
        lsb = bits.u(sequence.order_bits)
        delta_bottom = bits.se() if codes_bottom else 0
    elif sequence.order_type == 1 and not sequence.deltas_are_zero:
        lsb = bits.se()  # no place in the order, but it distinguishes pictures
        delta_bottom = bits.se() if codes_bottom else 0
    return lsb, delta_bottom


def _resets(bits: BitReader, sequence: _Sequence, settings: _Settings, slice_type: int) -> bool:
    """Read on to the memory management operations (7.3.3.3): whether one is the fifth."""
    _skip_references(bits, sequence, settings, slice_type)
    if not bits.flag():
        return False
    while operation := bits.ue():
        if operation == 5:  # noqa: PLR2004
            return True
        bits.ue()
        if operation == 3:  # noqa: PLR2004 - has two numbers
            bits.ue()
    return False


def _skip_references(
    bits: BitReader, sequence: _Sequence, settings: _Settings, slice_type: int
) -> None:
    """Lists of references, and their weights (7.3.3.1, 7.3.3.2)."""
    counts = list(settings.references)
    if slice_type == _B:
        bits.flag()
    if slice_type not in _INTRA and bits.flag():
        counts[0] = bits.ue() + 1
        if slice_type == _B:
            counts[1] = bits.ue() + 1
    lists = 0 if slice_type in _INTRA else 2 if slice_type == _B else 1
    for _ in range(lists):
        if bits.flag():
            while bits.ue() != 3:  # noqa: PLR2004 - ends the list
                bits.ue()
    weighs = settings.weighs_b if slice_type == _B else settings.weighs_p
    if weighs and lists:
        _skip_weights(bits, sequence, counts[:lists])


def _skip_weights(bits: BitReader, sequence: _Sequence, counts: list[int]) -> None:
    bits.ue()
    if sequence.has_chroma:
        bits.ue()
    for count in counts:
        for _ in range(count):
            if bits.flag():
                bits.se(), bits.se()
            if sequence.has_chroma and bits.flag():
                for _ in range(4):
                    bits.se()
