"""Bits of a video stream, most significant first, and where its units (NAL) lie: pure."""

from __future__ import annotations

from collections.abc import Iterator

_START = b"\x00\x00\x01"
_HEADER_BYTES = 256
"""How much of a slice is read: only its header, so that the rest costs nothing."""


class BitReader:
    """Reads numbers as ITU-T H.264 and H.265 write them; stops with `EOFError` at the end."""

    def __init__(self, payload: bytes) -> None:
        """`payload` is without emulation prevention bytes: see `unescaped`."""
        self._value = int.from_bytes(payload)
        self.left = 8 * len(payload)

    def u(self, bits: int) -> int:
        """Read an unsigned number of this many bits."""
        if bits > self.left:
            raise EOFError
        self.left -= bits
        return (self._value >> self.left) & ((1 << bits) - 1)

    def flag(self) -> bool:
        """Read one bit."""
        return self.u(1) == 1

    def ue(self) -> int:
        """Read an unsigned Exp-Golomb number (H.264, 9.1)."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 32:  # noqa: PLR2004 - the largest that the standard knows
                raise EOFError
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """Read a signed Exp-Golomb number (H.264, 9.1.1)."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)


def unescaped(nal: bytes, limit_bytes: int | None = _HEADER_BYTES) -> bytes:
    """Without emulation prevention bytes (H.264, 7.4.1); all of it where the limit is None."""
    return nal[:limit_bytes].replace(b"\x00\x00\x03", b"\x00\x00")


def nal_units(packet: bytes, length_bytes: int) -> Iterator[bytes]:
    """Yield the units of a packet, each after a start code or after a length of this many bytes."""
    if length_bytes and not _is_annex_b(packet, length_bytes):
        yield from _with_lengths(packet, length_bytes)
        return
    start = packet.find(_START)
    while start >= 0:
        following = packet.find(_START, start + 3)
        # A start code may have a zero more, and zeros may trail a unit.
        unit = packet[start + 3 : following if following >= 0 else None].rstrip(b"\x00")
        if unit:
            yield unit
        start = following


def sized_unit(content: bytes, at: int) -> tuple[bytes, int]:
    """A unit after its two-byte length, as containers keep parameter sets, and where it ends.

    If the content breaks off, the unit is what there is of it: empty at the end.
    """
    first, end = at + 2, at + 2 + int.from_bytes(content[at : at + 2])
    return content[first:end], end


def sei_messages(payload: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of each message of an SEI unit (H.264, 7.3.2.3.1; H.265, 7.3.5).

    Both numbers are sums: 255 means that another byte follows. `payload` is without emulation
    prevention bytes. What breaks off ends it.
    """
    position = 0
    while position + 2 < len(payload):
        numbers = [0, 0]
        for index in range(2):
            while payload[position : position + 1] == b"\xff":
                numbers[index] += 255
                position += 1
            if position >= len(payload):
                return
            numbers[index] += payload[position]
            position += 1
        kind, size = numbers
        yield kind, payload[position : position + size]
        position += size


def whole_order(lsb: int, *, before: int, limit: int) -> int:
    """Return the picture order count that ends in `lsb` (H.264, 8.2.1.1; H.265, 8.3.1).

    It is the nearest one to `before`, the order of the picture that counts; `limit` is the number
    of values that `lsb` can have.
    """
    before_lsb = before % limit
    msb = before - before_lsb
    if lsb - before_lsb <= -limit // 2:
        msb += limit
    elif lsb - before_lsb > limit // 2:
        msb -= limit
    return msb + lsb


def _is_annex_b(packet: bytes, length_bytes: int) -> bool:
    """Whether it has start codes: some files announce lengths, but the first is absurd."""
    if not packet.startswith((_START, b"\x00" + _START)):
        return False
    return int.from_bytes(packet[:length_bytes]) in {0, 1}


def _with_lengths(packet: bytes, length_bytes: int) -> Iterator[bytes]:
    position = 0
    while position + length_bytes < len(packet):
        size = int.from_bytes(packet[position : position + length_bytes])
        position += length_bytes
        if size:
            yield packet[position : position + size]
        position += size
